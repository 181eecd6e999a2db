"""What a sweep varies: its axes, the choices of each, and everything that may be wrong with them.

An axis is either a dotted path into the spec with a list of values, or a name of its own with labels, each of
which stands for settings that go together. `sweep.py` combines choices and puts them into the tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from testbed.spec.experiment import ExperimentSpec, Setting
from testbed.spec.kubernetes.names import LABEL_RULE, is_dns_label, is_label_value
from testbed.spec.problem import KeyPath, Problem, described, nearest, shortened
from testbed.spec.translate import unknown_segment
from testbed.spec.tree import (
    Entry,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    plain,
    split_path,
    with_value,
)

NEVER_SWEPT = frozenset({"manifests", "pinning", "repeats", "seed", "sweep"})
"""Keys that hold for a whole run."""

AXIS_LABEL_RULE = (
    "a label is 1 to 63 of letters, digits, '-', '_' and '.', with a letter or digit at its ends"
)

_LONGEST_VALUE = 4096


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of an axis, as records show it, and what it puts at which paths of the spec, in order."""

    setting: Setting
    puts: tuple[tuple[KeyPath, Node], ...]


def path_problem(text: str, root: Node) -> Problem | None:
    """Return what is wrong with a dotted path into the spec of an experiment's tree, or None."""
    path = split_path(text)
    unknown = unknown_segment(ExperimentSpec, path)
    if not path or unknown:
        position, known = unknown or (0, frozenset[str]())
        segment = str(path[position]) if path else ""
        near = nearest(segment, known)
        listed = f"known there: {', '.join(sorted(known))}" if known else ""
        return Problem(f"'{shortened(segment)}' leads nowhere in an experiment's spec", listed, near)
    try:
        with_value(root, ("spec", *path), ScalarNode(root.place, None))
    except LookupError:
        return Problem(f"the experiment has nothing at '{shortened(text)}' to put a value in")
    return None


def shown(value: Setting) -> str:
    """Return a value as the labels of variants have it. They must differ where values do."""
    return str(value).lower() if isinstance(value, bool) else shortened(str(value), _LONGEST_VALUE)


def choices_of(key: str, axis: Node) -> tuple[Choice, ...]:
    """Return the choices of an axis that has no problems."""
    if isinstance(axis, MappingNode):
        return tuple(
            Choice(
                label,
                tuple((split_path(path), below.value) for path, below in settings.value.entries.items()),
            )
            for label, settings in axis.entries.items()
            if isinstance(settings.value, MappingNode)
        )
    items = axis.items if isinstance(axis, SequenceNode) else ()
    return tuple(
        Choice(item.value, ((split_path(key), item),))
        for item in items
        if isinstance(item, ScalarNode) and item.value is not None
    )


# --- what may be wrong ---


def axis_problems(root: Node, axes: Mapping[str, Entry]) -> list[Problem]:
    """Return everything that is wrong with a sweep's axes; paths begin in the sweep."""
    problems = [problem for key, entry in axes.items() for problem in _axis_problems(root, key, entry.value)]
    return [*problems, *_overwriting(axes)]


def _axis_problems(root: Node, key: str, axis: Node) -> Iterator[Problem]:
    if (never := _never_swept(key, (key,))) is not None:
        yield never
    elif isinstance(axis, MappingNode):
        yield from _named_axis_problems(root, key, axis)
    else:
        yield from _list_axis_problems(root, key, axis)


def _never_swept(text: str, at: KeyPath) -> Problem | None:
    path = split_path(text)
    if not path or path[0] not in NEVER_SWEPT:
        return None
    return Problem(f"{path[0]} cannot be swept", "it holds for a whole run", "remove it", at, at_key=True)


def _list_axis_problems(root: Node, key: str, axis: Node) -> Iterator[Problem]:
    problem = path_problem(key, root)
    if problem:
        labels = f"or, as the name of an axis, give it labels: {{{key}: {{one: {{...}}}}}}"
        fix = problem.fix or (labels if len(split_path(key)) == 1 else "")
        yield replace(problem, fix=fix, path=(key,), at_key=True)
    if not isinstance(axis, SequenceNode) or not axis.items:
        is_list = isinstance(axis, SequenceNode)
        what = "the list of values is empty" if is_list else "the values to sweep are not a list"
        yield Problem(what, "a list of at least one value", "write [a, b]", (key,))
        return
    seen = set[str]()
    for position, item in enumerate(axis.items):
        if not isinstance(item, ScalarNode) or item.value is None:
            yield Problem(
                f"{described(plain(item))} cannot be swept",
                "single values are allowed",
                "put it into a file and sweep its path, or give the axis a name and its values labels",
                (key, position),
            )
        elif shown(item.value) in seen:
            yield Problem("this value stands twice", "", "remove one", (key, position))
        else:
            seen.add(shown(item.value))


def _named_axis_problems(root: Node, key: str, axis: MappingNode) -> Iterator[Problem]:
    if path_problem(key, root) is None:
        what = f"'{shortened(key)}' is a key of the spec, and a mapping stands where its values are expected"
        fix = "write [a, b], or give the axis a name of its own"
        yield Problem(what, "a list of single values", fix, (key,))
        return
    if not is_dns_label(key):
        what = f"'{shortened(key)}' is neither a key of the spec nor a name for an axis"
        yield Problem(what, LABEL_RULE, "", (key,), at_key=True)
    if not axis.entries:
        fix = "write {a: {...}, b: {...}}"
        yield Problem("an axis without labels", "at least one is required", fix, (key,))
    for label, entry in axis.entries.items():
        for problem in _label_problems(root, label, entry.value):
            yield problem.under(key)


def _label_problems(root: Node, label: str, settings: Node) -> Iterator[Problem]:
    if not label or not is_label_value(label):
        yield Problem(
            f"'{shortened(label)}' is not a valid label", AXIS_LABEL_RULE, "", (label,), at_key=True
        )
    if not isinstance(settings, MappingNode):
        what = f"the settings of '{shortened(label)}' are {described(plain(settings))}"
        fix = "write {cluster.network.plugin: flannel}, or {} for the experiment as it is"
        yield Problem(what, "a mapping from dotted paths to values is expected", fix, (label,))
        return
    for path in settings.entries:
        problem = _never_swept(path, (label, path)) or path_problem(path, root)
        if problem:
            yield replace(problem, path=(label, path), at_key=True)


def _overwriting(axes: Mapping[str, Entry]) -> Iterator[Problem]:
    """Report paths that undo what another one put there: each axis is put in after those above it."""
    earlier = dict[KeyPath, str]()
    for key, entry in axes.items():
        labels = _paths_by_label(key, entry.value)
        for of_label in labels:
            within = dict[KeyPath, str]()
            for text, at in of_label:
                path = split_path(text)
                yield from _clash(text, at, {**earlier, **within})
                within[path] = text
        earlier |= {split_path(text): key for of_label in labels for text, _ in of_label}


def _paths_by_label(key: str, axis: Node) -> list[list[tuple[str, KeyPath]]]:
    """Return the paths of each label of an axis with their places in the sweep; a list axis has its own."""
    if not isinstance(axis, MappingNode):
        return [[(key, (key,))]]
    return [
        [(path, (key, label, path)) for path in entry.value.entries]
        for label, entry in axis.entries.items()
        if isinstance(entry.value, MappingNode)
    ]


def _clash(text: str, at: KeyPath, earlier: Mapping[KeyPath, str]) -> Iterator[Problem]:
    path = split_path(text)
    for other, owner in earlier.items():
        if path and other[: len(path)] == path:
            what = f"'{shortened(text)}' overwrites what '{shortened(owner)}' puts there"
            fix = "sweep it once" if path == other else f"move it before '{shortened(owner)}'"
            yield Problem(what, "", fix, at, at_key=True)
            return
