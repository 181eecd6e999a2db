"""Files that a file names: where they are sought, and how a Cluster or Topology of its own file is put in.

An included tree keeps its own places, so that a finding points at the file that holds the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from testbed.errors import Finding
from testbed.spec.cluster import Cluster
from testbed.spec.kubernetes.catalog import OWN_API_VERSION, OWN_KINDS
from testbed.spec.model import SpecModel
from testbed.spec.problem import KeyPath, Problem, described, nearest, shortened
from testbed.spec.source import read_file
from testbed.spec.topology import Topology
from testbed.spec.translate import validated
from testbed.spec.tree import MappingNode, Node, ScalarNode, descend, finding, plain, with_value

Findings = tuple[Finding, ...]

_MODELS: Mapping[str, type[SpecModel]] = {"Cluster": Cluster, "Topology": Topology}

INCLUDES: Mapping[str, tuple[tuple[KeyPath, str], ...]] = {
    "Experiment": ((("spec", "cluster"), "Cluster"), (("spec", "cluster", "topology"), "Topology")),
    "Cluster": ((("spec", "topology"), "Topology"),),
    "Topology": (),
}
"""By kind: where the path of another file may stand instead of that file's spec, outermost first."""


def source_tree() -> Path | None:
    """Return the root of the source tree that holds topologies/, or None if there is none."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "topologies").is_dir() else None


def find_file(name: str, named_in: str) -> tuple[Path | None, tuple[Path, ...]]:
    """Seek a file that another file names: beside that file, in the current directory, in the source tree.

    Returns:
        The file, or None; and where it was sought.
    """
    root = source_tree()
    sought = [Path(named_in).parent / name, Path(name), *([root / name] if root else [])]
    for candidate in sought:
        try:
            if candidate.is_file():
                return candidate, tuple(sought)
        except (OSError, ValueError):  # a name that no file can have, such as one with a NUL in it
            continue
    return None, tuple(dict.fromkeys(sought))


def not_found(name: str, sought: tuple[Path, ...]) -> Problem:
    """Return the problem that a file was not found."""
    places = ", ".join(shortened(str(path), 120) for path in sought)
    return Problem(f"there is no file '{shortened(name)}'", f"sought: {places}", "check the path")


def expanded(root: Node, kind: str) -> tuple[Node, Findings]:
    """Put the spec of each file that is named in place of its path.

    Returns:
        The tree, unchanged where something is wrong, and what is wrong.
    """
    for path, included_kind in INCLUDES[kind]:
        named = descend(root, *path)
        if not isinstance(named, ScalarNode) or named.value is None:
            continue
        below, problem, findings = _included(named, included_kind)
        if problem or below is None:
            own = (finding(root, replace(problem, path=path)),) if problem else ()
            return root, (*own, *findings)
        root = with_value(root, path, below)
    return root, ()


def _included(named: ScalarNode, kind: str) -> tuple[Node | None, Problem | None, Findings]:
    if not isinstance(named.value, str):
        what = f"{described(named.value)} is neither a {kind}'s spec nor the path of its file"
        return None, Problem(what, "a mapping or a path is expected"), ()
    found, sought = find_file(named.value, named.place.file)
    if found is None:
        return None, not_found(named.value, sought), ()
    document, findings = only_document(str(found), kind)
    if document is None:
        return None, None, findings
    document, findings = expanded(document, kind)
    if findings:
        return None, None, findings
    _, findings = validated(_MODELS[kind], document)
    spec = descend(document, "spec")
    if not isinstance(spec, MappingNode):
        spec = MappingNode(document.place)
    return (None, None, findings) if findings else (replace(spec, restart=("spec",)), None, ())


def only_document(path: str, kind: str) -> tuple[Node | None, Findings]:
    """Return the only document of a file, which must be of one of the testbed's kinds."""
    source = read_file(path)
    if source.findings:
        return None, source.findings
    if len(source.documents) != 1:
        count = "no document" if not source.documents else f"{len(source.documents)} documents"
        return None, (Finding(path, 0, 0, "", f"the file holds {count}", f"one of kind {kind} is expected"),)
    document = source.documents[0]
    findings = tuple(finding(document, problem) for problem in header_problems(document, (kind,)))
    return (None if findings else document), findings


def header_problems(document: Node, kinds: tuple[str, ...] = OWN_KINDS) -> list[Problem]:
    """Return what is wrong with apiVersion and kind of a document of the testbed's own."""
    if not isinstance(document, MappingNode):
        what = f"{described(plain(document))} stands where a mapping is expected"
        return [Problem(what, f"a document of kind {' or '.join(kinds)} is expected")]
    problems = []
    for key, choices in (("apiVersion", (OWN_API_VERSION,)), ("kind", kinds)):
        below = descend(document, key)
        value = plain(below) if below is not None else None
        if value is None:
            problems.append(
                Problem(f"{key} is missing", "it is required", f"add {key}: {choices[0]}", (key,))
            )
        elif value not in choices:
            near = nearest(value, choices) if isinstance(value, str) else ""
            allowed = f"expected: {' or '.join(choices)}"
            problems.append(Problem(f"{described(value)} is not expected here", allowed, near, (key,)))
    return problems
