"""Settings: values put at dotted paths of an experiment's spec, by `sweep` in the file or by `--set`.

Both change the tree before it is validated, so a value that does not fit is reported at its own place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from testbed.errors import Finding, SpecError, UsageError
from testbed.spec.experiment import MOST_VARIANTS, ExperimentSpec, Setting
from testbed.spec.include import Findings, expanded
from testbed.spec.problem import KeyPath, Problem, described, nearest, shortened
from testbed.spec.source import read_text
from testbed.spec.translate import unknown_segment
from testbed.spec.tree import (
    Entry,
    MappingNode,
    Node,
    Place,
    ScalarNode,
    SequenceNode,
    descend,
    finding,
    with_value,
)

NEVER_SWEPT = frozenset({"manifests", "pinning", "repeats", "seed", "sweep"})
"""Keys that hold for a whole run."""

_SEGMENT = re.compile(r"[^.\[\]]+")
_SWEEP: KeyPath = ("spec", "sweep")


@dataclass(frozen=True, slots=True)
class Combination:
    """One choice of the swept values, and the experiment's tree with them put in."""

    label: str
    settings: Mapping[str, Setting]
    root: Node


def split_path(text: str) -> KeyPath:
    """Split a dotted path; list positions are written [0] or .0."""
    return tuple(
        int(part) if part.isascii() and part.isdecimal() else part for part in _SEGMENT.findall(text)
    )


def _path_problem(text: str, root: Node) -> Problem | None:
    """Return what is wrong with a dotted path into the spec, or None."""
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


# --- the command line ---


def overridden(root: Node, override: str) -> Node:
    """Put the value of one `--set path=value` into a tree; a sweep over the same path is dropped.

    Raises:
        UsageError: the text is not path=value.
        SpecError: the path leads nowhere, or the value is not YAML, or names a file that is not there.
    """
    path, separator, text = override.partition("=")
    name = f"--set {override}"
    if not separator or not path.strip():
        raise UsageError(f"'{override}' is not a setting", where="--set", fix="write path=value")
    problem = _path_problem(path, root)
    if problem:
        raise SpecError([Finding(name, 0, 0, "", problem.what, problem.allowed, problem.fix)])
    source = read_text(text, name)
    if source.findings or len(source.documents) > 1:
        what = "the value is not YAML"
        raise SpecError(source.findings or [Finding(name, 0, 0, "", what)])
    value = _without_places(source.documents[0], name) if source.documents else ScalarNode(Place(name), None)
    changed = with_value(_without_sweep(root, path), ("spec", *split_path(path)), value)
    changed, findings = expanded(changed, "Experiment")
    if findings:
        raise SpecError(findings)
    return changed


def _without_places(node: Node, name: str) -> Node:
    """Return the tree without lines and columns, which a value on the command line does not have."""
    place = Place(name)
    if isinstance(node, ScalarNode):
        return replace(node, place=place)
    if isinstance(node, SequenceNode):
        return SequenceNode(place, tuple(_without_places(item, name) for item in node.items))
    entries = {key: Entry(place, _without_places(entry.value, name)) for key, entry in node.entries.items()}
    return MappingNode(place, entries)


def _without_sweep(root: Node, path: str) -> Node:
    sweep = descend(root, *_SWEEP)
    if not isinstance(sweep, MappingNode):
        return root
    kept = {key: entry for key, entry in sweep.entries.items() if split_path(key) != split_path(path)}
    return with_value(root, _SWEEP, replace(sweep, entries=kept))


# --- the sweep of a file ---


def combinations(root: Node) -> tuple[tuple[Combination, ...], Findings]:
    """Return every combination of an experiment's swept values; the last key of the file changes fastest.

    An experiment that sweeps nothing has one combination, whose label is "".

    Returns:
        The combinations and no findings, or none and what is wrong.
    """
    sweep = descend(root, *_SWEEP)
    if not isinstance(sweep, MappingNode):
        return (Combination("", {}, root),), ()
    entries = sweep.entries
    problems = [problem for key, entry in entries.items() for problem in _sweep_problems(root, key, entry)]
    count = 1
    for entry in entries.values():
        count *= len(entry.value.items) if isinstance(entry.value, SequenceNode) else 1
    if count > MOST_VARIANTS:
        problems.append(
            Problem(f"the sweep has {count} combinations", f"at most {MOST_VARIANTS} are allowed")
        )
    if problems:
        return (), tuple(finding(root, problem.under(*_SWEEP)) for problem in problems)
    return _combined(with_value(root, _SWEEP, ScalarNode(root.place, None)), entries)


def _sweep_problems(root: Node, key: str, entry: Entry) -> Iterator[Problem]:
    path = split_path(key)
    if path and path[0] in NEVER_SWEPT:
        yield Problem(
            f"{path[0]} cannot be swept", "it holds for a whole run", "remove it", (key,), at_key=True
        )
        return
    problem = _path_problem(key, root)
    if problem:
        yield replace(problem, path=(key,), at_key=True)
    if not isinstance(entry.value, SequenceNode) or not entry.value.items:
        yield Problem(
            "the values to sweep are not a list", "a list of at least one value", "write [a, b]", (key,)
        )
        return
    seen = list[tuple[type, object]]()
    for position, item in enumerate(entry.value.items):
        if not isinstance(item, ScalarNode) or item.value is None:
            kind = described(
                None if isinstance(item, ScalarNode) else {} if isinstance(item, MappingNode) else ()
            )
            what = f"{kind} cannot be swept"
            yield Problem(
                what, "single values are allowed", "put it into a file and sweep its path", (key, position)
            )
        elif (type(item.value), item.value) in seen:
            yield Problem("this value stands twice", "", "remove one", (key, position))
        else:
            seen.append((type(item.value), item.value))


def _combined(root: Node, entries: Mapping[str, Entry]) -> tuple[tuple[Combination, ...], Findings]:
    choices = [_values(entry.value) for entry in entries.values()]
    names = _short_names(tuple(entries))
    made, findings = list[Combination](), list[Finding]()
    for values in product(*choices):
        changed, found = root, list[Finding]()
        for key, value in zip(entries, values, strict=True):
            changed, wrong = expanded(with_value(changed, ("spec", *split_path(key)), value), "Experiment")
            found.extend(wrong)
        settings = {key: _setting(value) for key, value in zip(entries, values, strict=True)}
        label = ", ".join(f"{names[key]}={_shown(value)}" for key, value in settings.items())
        made.append(Combination(label, settings, changed))
        findings.extend(found)
    return ((), tuple(findings)) if findings else (tuple(made), ())


def _values(node: Node) -> tuple[ScalarNode, ...]:
    items = node.items if isinstance(node, SequenceNode) else ()
    return tuple(item for item in items if isinstance(item, ScalarNode))


def _setting(node: ScalarNode) -> Setting:
    return "" if node.value is None else node.value


def _shown(value: Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else shortened(str(value))


def _short_names(keys: tuple[str, ...]) -> Mapping[str, str]:
    """Return the last word of each path, or the whole path where two end alike."""
    last = {key: str(split_path(key)[-1]) for key in keys}
    return {key: word if list(last.values()).count(word) == 1 else key for key, word in last.items()}
