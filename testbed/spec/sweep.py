"""Settings: values put at dotted paths of an experiment's spec, by `sweep` in the file or by `--set`.

Both change the tree before it is validated, so a value that does not fit is reported at its own place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from testbed.errors import Finding, SpecError, UsageError
from testbed.spec.axes import Choice, axis_problems, choices_of, path_problem, shown
from testbed.spec.experiment import MOST_VARIANTS, Setting
from testbed.spec.include import Findings, expanded
from testbed.spec.problem import KeyPath, Problem, described, listing, nearest, shortened
from testbed.spec.source import read_text
from testbed.spec.tree import (
    Entry,
    MappingNode,
    Node,
    Place,
    ScalarNode,
    SequenceNode,
    descend,
    finding,
    key_path,
    plain,
    split_path,
    with_value,
)

_SWEEP: KeyPath = ("spec", "sweep")


@dataclass(frozen=True, slots=True)
class Combination:
    """One choice on every axis, and the experiment's tree with what they put in."""

    label: str
    settings: Mapping[str, Setting]
    root: Node


# --- the command line ---


def overridden(root: Node, override: str) -> Node:
    """Put the value of one `--set path=value` into a tree.

    A sweep over the same path is dropped, or, if the value is a list, gets these values instead of its own.
    With the name of an axis for a path, the value is one of its labels, or a list of them; the others go.

    Raises:
        UsageError: the text is not path=value.
        SpecError: the path leads nowhere, or the value is not YAML, is no label of the axis, or names a file
            that is not there; or an axis would overwrite it.
    """
    path, separator, text = override.partition("=")
    name = f"--set {override}"
    if not separator or not path.strip():
        raise UsageError(f"'{override}' is not a setting", where="--set", fix="write path=value")
    axes = _axes(root)
    named = axes[path].value if path in axes else None
    problem = path_problem(path, root)
    if problem and not isinstance(named, MappingNode):
        raise _refused(name, problem)
    value = _value(text, name)
    if problem and isinstance(named, MappingNode):
        return with_value(root, (*_SWEEP, path), _with_labels(named, value, path, name))
    same = next((key for key in axes if split_path(key) == split_path(path)), None)
    if same is not None and isinstance(value, SequenceNode) and _is_single(value):
        return with_value(root, (*_SWEEP, same), value)
    kept = {key: entry for key, entry in axes.items() if key != same}
    _refuse_overwritten(path, kept, name)
    changed = with_value(_with_axes(root, kept), ("spec", *split_path(path)), value)
    changed, findings = expanded(changed, "Experiment")
    if findings:
        raise SpecError(findings)
    return changed


def _refused(name: str, problem: Problem) -> SpecError:
    return SpecError([Finding(name, 0, 0, "", problem.what, problem.allowed, problem.fix)])


def _value(text: str, name: str) -> Node:
    source = read_text(text, name)
    if source.findings or len(source.documents) > 1:
        raise SpecError(source.findings or [Finding(name, 0, 0, "", "the value is not YAML")])
    return _without_places(source.documents[0], name) if source.documents else ScalarNode(Place(name), None)


def _without_places(node: Node, name: str) -> Node:
    """Return the tree without lines and columns, which a value on the command line does not have."""
    place = Place(name)
    if isinstance(node, ScalarNode):
        return replace(node, place=place)
    if isinstance(node, SequenceNode):
        return SequenceNode(place, tuple(_without_places(item, name) for item in node.items))
    entries = {key: Entry(place, _without_places(entry.value, name)) for key, entry in node.entries.items()}
    return MappingNode(place, entries)


def _is_single(values: SequenceNode) -> bool:
    return all(isinstance(item, ScalarNode) for item in values.items)


def _axes(root: Node) -> Mapping[str, Entry]:
    sweep = descend(root, *_SWEEP)
    return sweep.entries if isinstance(sweep, MappingNode) else {}


def _with_axes(root: Node, axes: Mapping[str, Entry]) -> Node:
    sweep = descend(root, *_SWEEP)
    return with_value(root, _SWEEP, replace(sweep, entries=axes)) if isinstance(sweep, MappingNode) else root


def _with_labels(axis: MappingNode, value: Node, path: str, name: str) -> MappingNode:
    """Return a named axis with the labels alone that a value names."""
    wanted = [plain(item) for item in (value.items if isinstance(value, SequenceNode) else (value,))]
    chosen = {shown(item) if isinstance(item, Setting) else described(item) for item in wanted}
    unknown = sorted(chosen - axis.entries.keys())
    if unknown or not chosen:
        what = f"'{shortened(unknown[0])}' is not a label of axis {path}" if unknown else "no label is chosen"
        near = nearest(unknown[0], axis.entries) if unknown else ""
        raise _refused(name, Problem(what, listing(axis.entries), near))
    return replace(axis, entries={label: axis.entries[label] for label in axis.entries if label in chosen})


def _refuse_overwritten(text: str, axes: Mapping[str, Entry], name: str) -> None:
    """Refuse a setting that an axis would undo.

    Raises:
        SpecError: a sweep sets the same path, or one above it.
    """
    path = split_path(text)
    for key, entry in axes.items():
        for choice in choices_of(key, entry.value):
            for swept, _ in choice.puts:
                if path[: len(swept)] == swept:
                    what = f"the sweep over {key} would overwrite it"
                    raise _refused(name, Problem(what, "", f"choose there: --set {key}=..."))


# --- the sweep of a file ---


def combinations(root: Node) -> tuple[tuple[Combination, ...], Findings]:
    """Return every combination of an experiment's axes; the last one of the file changes fastest.

    An experiment that sweeps nothing has one combination, whose label is "".

    Returns:
        The combinations and no findings, or none and what is wrong.
    """
    axes = _axes(root)
    if not axes:
        return (Combination("", {}, root),), ()
    problems = axis_problems(root, axes)
    count = prod(_size(entry.value) for entry in axes.values())
    if count > MOST_VARIANTS:
        problems.append(
            Problem(f"the sweep has {count} combinations", f"at most {MOST_VARIANTS} are allowed")
        )
    if problems:
        return (), tuple(finding(root, problem.under(*_SWEEP)) for problem in problems)
    bare = with_value(root, _SWEEP, ScalarNode(root.place, None))
    return _combined(bare, {key: choices_of(key, entry.value) for key, entry in axes.items()})


def told_once(found: Mapping[str, Iterable[Finding]]) -> tuple[Finding, ...]:
    """Return the findings of all variants, given by their labels, each once.

    One that not all variants have says in which one it is.
    """
    labels = dict[Finding, list[str]]()
    for label, findings in found.items():
        for each in findings:
            labels.setdefault(each, []).append(label)
    return tuple(
        each if len(having) == len(found) else replace(each, what=f"{each.what}, in variant {_some(having)}")
        for each, having in labels.items()
    )


def _some(labels: list[str]) -> str:
    return labels[0] if len(labels) == 1 else f"{labels[0]} and {len(labels) - 1} more"


def _size(axis: Node) -> int:
    if isinstance(axis, SequenceNode):
        return len(axis.items)
    return len(axis.entries) if isinstance(axis, MappingNode) else 1


def _combined(root: Node, axes: Mapping[str, tuple[Choice, ...]]) -> tuple[tuple[Combination, ...], Findings]:
    names = _short_names(tuple(axes))
    made, findings = list[Combination](), list[Finding]()
    for choices in product(*axes.values()):
        changed = root
        for path, value in (put for choice in choices for put in choice.puts):
            changed, wrong = _put(changed, path, value)
            findings.extend(wrong)
        settings = {key: choice.setting for key, choice in zip(axes, choices, strict=True)}
        label = ", ".join(f"{names[key]}={shown(value)}" for key, value in settings.items())
        made.append(Combination(label, settings, changed))
    return ((), tuple(findings)) if findings else (tuple(made), ())


def _put(root: Node, path: KeyPath, value: Node) -> tuple[Node, Findings]:
    """Put a value into the spec, unless an earlier axis took away what it belongs to."""
    try:
        changed = with_value(root, ("spec", *path), value)
    except LookupError:
        what = f"the experiment has nothing at '{key_path(path)}' to put a value in"
        return root, (Finding(value.place.file, value.place.line, value.place.column, "spec.sweep", what),)
    return expanded(changed, "Experiment")


def _short_names(keys: tuple[str, ...]) -> Mapping[str, str]:
    """Return the last word of each path, or the whole path where two end alike."""
    last = {key: str(split_path(key)[-1]) for key in keys}
    return {key: word if list(last.values()).count(word) == 1 else key for key, word in last.items()}
