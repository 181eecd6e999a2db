"""Kubernetes manifests: from documents to objects, with the place each came from.

Owns unpacking `kind: List`, choosing the model, and what was accepted without bearing. What objects say about
each other is `testbed.spec.bundle`'s part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testbed.errors import Finding, SpecError
from testbed.spec.kubernetes.catalog import OWN_API_VERSION, OWN_KINDS, AnyObject, model_of
from testbed.spec.model import Tally
from testbed.spec.problem import KeyPath, Problem, RefusedError, described
from testbed.spec.source import SourceFile, read_file
from testbed.spec.translate import validated
from testbed.spec.tree import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    child,
    descend,
    finding,
    plain,
    tree_of,
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """An object and where it comes from. `base` leads to it inside its document (for an item of a List)."""

    object: AnyObject
    node: Node
    base: KeyPath = ()

    def finding(self, problem: Problem) -> Finding:
        """Return a problem of this object, whose path begins in the object, with its place."""
        return finding(self.node, problem, self.base)


@dataclass(frozen=True, slots=True)
class Manifests:
    """The objects of some files, in the order of the files, after validation and defaulting.

    `notices` are worth telling and stop nothing. `ignored` counts what was accepted without bearing on
    networking.
    """

    manifests: tuple[Manifest, ...] = ()
    ignored: Tally = field(default_factory=Tally)
    notices: tuple[Finding, ...] = ()

    @property
    def objects(self) -> tuple[AnyObject, ...]:
        """The objects alone."""
        return tuple(manifest.object for manifest in self.manifests)


@dataclass(slots=True)
class _Reader:
    """Collects the objects of documents and everything wrong with them."""

    manifests: list[Manifest] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def add(self, node: Node, base: KeyPath = ()) -> None:
        """Read one document, or one item of a List."""
        if not isinstance(node, MappingNode):
            what = f"{described(plain(node))} stands where a Kubernetes object is expected"
            self.findings.append(
                finding(node, Problem(what, "an object is a mapping with apiVersion and kind"), base)
            )
            return
        named = self._type_of(node, base)
        if named == ("v1", "List"):
            self._add_items(node, base)
        elif named:
            self._add_object(node, base, *named)

    def _type_of(self, node: MappingNode, base: KeyPath) -> tuple[str, str] | None:
        problems, values = [], []
        for key, example in (("apiVersion", "apps/v1"), ("kind", "Deployment")):
            below = child(node, key)
            value = plain(below) if below is not None else None
            if value is None or value == "":
                problems.append(
                    Problem(
                        f"{key} is missing", "it is required", f"add one, such as {key}: {example}", (key,)
                    )
                )
            elif not isinstance(value, str):
                problems.append(Problem(f"{described(value)} stands where text is required", path=(key,)))
            values.append(str(value))
        self.findings.extend(finding(node, problem, base) for problem in problems)
        return None if problems else (values[0], values[1])

    def _add_items(self, node: MappingNode, base: KeyPath) -> None:
        items = child(node, "items")
        unknown = sorted(node.entries.keys() - {"apiVersion", "kind", "metadata", "items"})
        problems = [Problem(f"'{key}' is not a key of a List", path=(key,), at_key=True) for key in unknown]
        if isinstance(items, SequenceNode):
            for position, item in enumerate(items.items):
                self.add(item, (*base, "items", position))
        elif not isinstance(items, ScalarNode) or items.value is not None:
            problems.append(Problem("a List without items", "a list of objects is required", path=("items",)))
        self.findings.extend(finding(node, problem, base) for problem in problems)

    def _add_object(self, node: MappingNode, base: KeyPath, api_version: str, kind: str) -> None:
        if api_version == OWN_API_VERSION and kind in OWN_KINDS:
            what = f"kind {kind} is the testbed's own and no manifest"
            self.findings.append(
                finding(node, Problem(what, "Kubernetes objects are expected", path=("kind",)), base)
            )
            return
        try:
            model = model_of(api_version, kind)
        except RefusedError as error:
            self.findings.extend(finding(node, problem, base) for problem in error.problems)
            return
        if model is None:
            self.tally.kinds[kind] += 1
            return
        made, findings = validated(model, node, base, self.tally)
        self.findings.extend(findings)
        if made is not None:
            self.manifests.append(Manifest(made, node, base))


def read_manifests(documents: Iterable[Node]) -> tuple[Manifests, tuple[Finding, ...]]:
    """Read documents into objects, one by one.

    Returns:
        The objects that are sound by themselves, and what is wrong with the others.
    """
    reader = _Reader()
    for document in documents:
        reader.add(document)
    return Manifests(tuple(reader.manifests), reader.tally), tuple(reader.findings)


def read_manifest_files(paths: Sequence[str | Path]) -> tuple[Manifests, tuple[Finding, ...]]:
    """Read the objects of some files, and everything that is wrong with the files and each object."""
    sources = [read_file(path) for path in paths]
    manifests, findings = read_manifests(node for source in sources for node in source.documents)
    broken = [item for source in sources for item in (*source.findings, *empty_findings(source))]
    return manifests, (*broken, *findings)


def empty_findings(source: SourceFile) -> tuple[Finding, ...]:
    """Return what is wrong with a file that holds nothing at all."""
    if source.documents or source.findings:
        return ()
    return (Finding(source.name, 0, 0, "", "the file holds no document", "at least one is expected"),)


def nodes_of(documents: Iterable[Mapping[str, object]], file: str) -> tuple[Node, ...]:
    """Return documents that no file holds as trees.

    Raises:
        SpecError: a document has values that YAML has no form for.
    """
    try:
        return tuple(tree_of(document, file) for document in documents)
    except TypeError as error:
        raise SpecError([Finding(file, 0, 0, "", str(error))]) from error


def is_own_kind(node: Node) -> bool:
    """Whether a document is of a kind of the testbed itself, judged by its apiVersion."""
    below = descend(node, "apiVersion")
    return (
        isinstance(below, ScalarNode) and isinstance(below.value, str) and below.value.startswith("testbed/")
    )
