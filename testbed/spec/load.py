"""The spec layer's front door: experiments, clusters, manifests from files, with all errors of all files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testbed.errors import Finding, SpecError
from testbed.spec.bundle import checked, declared_namespaces
from testbed.spec.cluster import Cluster, ClusterSpec
from testbed.spec.experiment import ExperimentFile, ExperimentSpec, Setting, generated_path_problems
from testbed.spec.include import (
    Findings,
    expanded,
    find_file,
    header_problems,
    not_found,
    only_document,
)
from testbed.spec.manifests import (
    Manifests,
    empty_findings,
    is_own_kind,
    nodes_of,
    read_manifest_files,
    read_manifests,
)
from testbed.spec.model import Tally
from testbed.spec.source import SourceFile, read_file
from testbed.spec.sweep import Combination, combinations, overridden, told_once
from testbed.spec.targets import target_problems
from testbed.spec.topology import Topology
from testbed.spec.translate import validated
from testbed.spec.tree import Node, ScalarNode, SequenceNode, at_its_place, descend, finding

GENERATED = "<generated>"


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination of the swept values: a label ("" when nothing is swept), the values, and the result."""

    label: str
    settings: Mapping[str, Setting]
    spec: ExperimentSpec
    root: Node | None = field(default=None, compare=False, repr=False)

    def placed(self, each: Finding) -> Finding:
        """Return what a layer that knows no files found about the spec, with its place in them."""
        return each if self.root is None else at_its_place(self.root, each)


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment with everything it names. `spec` has the overrides in it and no swept value."""

    file: str
    name: str
    description: str
    spec: ExperimentSpec
    manifests: Manifests
    variants: tuple[Variant, ...]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What some files hold, once all of it is valid."""

    files: tuple[str, ...]
    kinds: Counter[str] = field(default_factory=Counter)
    ignored: Tally = field(default_factory=Tally)
    notices: tuple[Finding, ...] = ()


# --- experiments ---


def load_experiment(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Load an experiment, the cluster, topology and manifests that it names, and all its variants.

    Args:
        path: a file with one document of kind Experiment.
        overrides: "dotted.path=value" each, put into the spec in order before it is validated.

    Raises:
        SpecError: with every finding of all files.
        UsageError: an override is not path=value.
    """
    document, findings = only_document(str(path), "Experiment")
    if document is None:
        raise SpecError(findings)
    return _experiment(document, overrides)


def _experiment(document: Node, overrides: Sequence[str]) -> Experiment:
    root, findings = expanded(document, "Experiment")
    if findings:
        raise SpecError([*findings, *_manifests_of(document)[1]])
    for override in overrides:
        root = overridden(root, override)
    manifests, manifest_findings = _manifests_of(root)
    made, findings = validated(ExperimentFile, root)
    choices, sweep_findings = combinations(root)
    if made is None or manifest_findings or sweep_findings:
        raise SpecError([*findings, *manifest_findings, *sweep_findings])
    variants = _variants(choices, manifests)
    return Experiment(
        document.place.file, made.metadata.name, made.description, made.spec, manifests, variants
    )


def _variants(choices: Sequence[Combination], manifests: Manifests) -> tuple[Variant, ...]:
    """Validate every combination of the swept values.

    Raises:
        SpecError: with every finding of all of them.
    """
    variants, found = list[Variant](), dict[str, Findings]()
    for choice in choices:
        variant, found[choice.label] = validated(ExperimentFile, choice.root)
        if variant is not None:
            problems = [*target_problems(variant.spec, manifests), *generated_path_problems(variant.spec)]
            found[choice.label] = tuple(finding(choice.root, problem.under("spec")) for problem in problems)
            variants.append(Variant(choice.label, choice.settings, variant.spec, choice.root))
    if any(found.values()):
        raise SpecError(told_once(found))
    return tuple(variants)


def _manifests_of(root: Node) -> tuple[Manifests, Findings]:
    """Read the manifests that an experiment names, whatever else is wrong with it."""
    named = descend(root, "spec", "manifests")
    items = named.items if isinstance(named, SequenceNode) else ()
    files, findings = list[Path](), list[Finding]()
    for position, item in enumerate(items):
        if not isinstance(item, ScalarNode) or not isinstance(item.value, str):
            continue  # the model refuses it
        found, sought = find_file(item.value, item.place.file)
        if found is None:
            problem = not_found(item.value, sought).under("spec", "manifests", position)
            findings.append(finding(root, problem))
        else:
            files.append(found)
    manifests, wrong = read_manifest_files(files)
    manifests, conflicts = checked(manifests)
    return manifests, (*findings, *wrong, *(() if wrong else conflicts))


def resolved_spec(experiment: Experiment) -> dict[str, object]:
    """Return the experiment after defaulting, as it would be written in YAML: plain data, camelCase.

    Files that were named are put in; `manifests` keeps the names.
    """
    return {
        "apiVersion": "testbed/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": experiment.name},
        **({"description": experiment.description} if experiment.description else {}),
        "spec": experiment.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


# --- clusters ---


def load_cluster(path: str | Path | None) -> ClusterSpec:
    """Load a file of kind Cluster; without one, return the default cluster.

    Raises:
        SpecError: with every finding of the file and of the topology that it names.
    """
    return ClusterSpec() if path is None else load_cluster_tree(path)[0]


def load_cluster_tree(path: str | Path) -> tuple[ClusterSpec, Node]:
    """Load a file of kind Cluster; return its spec, and its tree, which knows where each value stands.

    Raises:
        SpecError: with every finding of the file and of the topology that it names.
    """
    document, findings = only_document(str(path), "Cluster")
    if document is not None:
        document, findings = expanded(document, "Cluster")
    if document is None or findings:
        raise SpecError(findings)
    made, findings = validated(Cluster, document)
    if made is None:
        raise SpecError(findings)
    return made.spec, document


# --- manifests ---


def load_manifests(paths: Sequence[str | Path]) -> Manifests:
    """Load the Kubernetes objects of some files as one application.

    Raises:
        SpecError: with every finding of all files.
    """
    manifests, findings = read_manifest_files(paths)
    return _sound(manifests, findings)


def parse_manifests(documents: Iterable[Mapping[str, object]], file: str = GENERATED) -> Manifests:
    """Make objects out of documents that no file holds; `file` stands for them in messages.

    Raises:
        SpecError: with everything that is wrong.
    """
    manifests, findings = read_manifests(nodes_of(documents, file))
    return _sound(manifests, findings)


def joined(*parts: Manifests) -> Manifests:
    """Make one application out of several, as if their files had been loaded together.

    Raises:
        SpecError: they conflict.
    """
    tally = Tally()
    for part in parts:
        tally.add(part.ignored)
    return _sound(Manifests(tuple(item for part in parts for item in part.manifests), tally), ())


def _sound(manifests: Manifests, findings: Findings) -> Manifests:
    if findings:
        raise SpecError(findings)
    manifests, findings = checked(manifests)
    if findings:
        raise SpecError(findings)
    return manifests


# --- any file ---


def check_files(paths: Sequence[str | Path]) -> CheckReport:
    """Check files of any kind. Each is an application of its own; any of them may declare a namespace.

    Raises:
        SpecError: with every finding of all files.
    """
    sources = [read_file(path) for path in dict.fromkeys(map(str, paths))]
    findings = [item for source in sources for item in source.findings]
    applications = [_application(source) for source in sources]
    declared = [name for manifests, _ in applications for name in declared_namespaces(manifests)]
    report = CheckReport(tuple(source.name for source in sources))
    notices = list[Finding]()
    for source, (read, wrong) in zip(sources, applications, strict=True):
        manifests, conflicts = checked(read, declared)
        findings += [
            *wrong,
            *(() if wrong or source.findings else conflicts),
            *_own_findings(source, report, notices),
        ]
        report.kinds.update(item.kind for item in manifests.objects)
        report.ignored.add(manifests.ignored)
        notices += manifests.notices
    if findings:
        raise SpecError(findings)
    return CheckReport(report.files, report.kinds, report.ignored, tuple(sorted(set(notices))))


def _application(source: SourceFile) -> tuple[Manifests, Findings]:
    manifests, findings = read_manifests(node for node in source.documents if not is_own_kind(node))
    return manifests, (*empty_findings(source), *findings)


def _own_findings(source: SourceFile, report: CheckReport, notices: list[Finding]) -> list[Finding]:
    """Check the documents of the testbed's own kinds; their kinds and notices are added to the report's."""
    findings = list[Finding]()
    for document in filter(is_own_kind, source.documents):
        problems = header_problems(document)
        if problems:
            findings += [finding(document, problem) for problem in problems]
            continue
        kind = descend(document, "kind")
        name = str(kind.value) if isinstance(kind, ScalarNode) else ""
        report.kinds[name] += 1
        try:
            notices += _check_own(document, name, report)
        except SpecError as error:
            findings += error.findings
    return findings


def _check_own(document: Node, kind: str, report: CheckReport) -> Findings:
    if kind == "Experiment":
        manifests = _experiment(document, ()).manifests
        report.ignored.add(manifests.ignored)
        return manifests.notices
    root, findings = expanded(document, kind)
    if not findings:
        _, findings = validated(Cluster if kind == "Cluster" else Topology, root)
    if findings:
        raise SpecError(findings)
    return ()
