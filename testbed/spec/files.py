"""Questions about a file as a whole: what it is, and the topology that it holds."""

from __future__ import annotations

from pathlib import Path

from testbed.errors import SpecError
from testbed.spec.include import only_document
from testbed.spec.kubernetes.catalog import OWN_KINDS
from testbed.spec.manifests import is_own_kind
from testbed.spec.source import read_file
from testbed.spec.topology import Topology, TopologySpec
from testbed.spec.translate import validated
from testbed.spec.tree import ScalarNode, descend


def kind_of_file(path: str | Path) -> str:
    """Return Experiment, Cluster or Topology for a file that begins with one of ours, else "".

    Raises:
        SpecError: the file cannot be read, or is not YAML.
    """
    source = read_file(path)
    if source.findings:
        raise SpecError(source.findings)
    for document in source.documents[:1]:
        kind = descend(document, "kind")
        if is_own_kind(document) and isinstance(kind, ScalarNode) and kind.value in OWN_KINDS:
            return str(kind.value)
    return ""


def load_topology(path: str | Path) -> TopologySpec:
    """Load a file of kind Topology.

    Raises:
        SpecError: with every finding of the file.
    """
    document, findings = only_document(str(path), "Topology")
    if document is None:
        raise SpecError(findings)
    made, findings = validated(Topology, document)
    if made is None:
        raise SpecError(findings)
    return made.spec
