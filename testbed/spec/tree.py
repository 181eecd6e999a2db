"""A YAML document as a tree in which every key and value knows its file, line and column.

Owns the tree, looking up places in it, and copies with one value replaced. Reading files is
`testbed.spec.source`'s part. Because each node carries its own file, a tree may be put together out of
several files (an experiment, the cluster it names, a swept value) and a finding still points at the right
one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias, Union

from testbed.errors import Finding
from testbed.spec.problem import KeyPath, Problem, shortened

ScalarValue: TypeAlias = bool | int | float | str | None
Node: TypeAlias = Union["ScalarNode", "MappingNode", "SequenceNode"]
_SEGMENT = re.compile(r"[^.\[\]]+")
_BARE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file. Line and column count from 1; 0 where there is none."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value."""

    place: Place
    value: ScalarValue


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping, where it stands, and its value."""

    place: Place
    value: Node


@dataclass(frozen=True, slots=True)
class MappingNode:
    """A mapping, in the order of the file.

    `restart` is the key path at which a tree that was included from another file begins there, so that
    messages name keys as that file has them.
    """

    place: Place
    entries: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    restart: KeyPath | None = None


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list."""

    place: Place
    items: tuple[Node, ...] = ()


def plain(node: Node) -> object:
    """Return the tree as dicts, tuples and scalars, without places."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return tuple(plain(item) for item in node.items)
    return {key: plain(entry.value) for key, entry in node.entries.items()}


def tree_of(data: object, file: str) -> Node:
    """Return the tree of data that no file holds; its places name `file` alone.

    Raises:
        TypeError: the data is not made of dicts with text keys, lists, tuples and scalars.
    """
    place = Place(file)
    if isinstance(data, dict):
        return MappingNode(
            place, {str(key): Entry(place, tree_of(value, file)) for key, value in data.items()}
        )
    if isinstance(data, list | tuple):
        return SequenceNode(place, tuple(tree_of(item, file) for item in data))
    if data is None or isinstance(data, bool | int | float | str):
        return ScalarNode(place, data)
    msg = f"{type(data).__name__} has no YAML form"
    raise TypeError(msg)


def child(node: Node | None, segment: str | int) -> Node | None:
    """Return what stands under a key or at a list position, or None."""
    if isinstance(node, MappingNode) and isinstance(segment, str):
        entry = node.entries.get(segment)
        return entry.value if entry else None
    if isinstance(node, SequenceNode) and isinstance(segment, int) and 0 <= segment < len(node.items):
        return node.items[segment]
    return None


def descend(node: Node | None, *path: str | int) -> Node | None:
    """Return the node at the end of a path, or None."""
    for segment in path:
        node = child(node, segment)
    return node


def locate(root: Node, path: KeyPath, *, at_key: bool = False) -> tuple[Place, KeyPath]:
    """Return the place of a value and its path as its own file has it.

    A value that is a mapping or a list is placed at its key; a key that does not exist at the mapping that
    lacks it.
    """
    place, shown, node = root.place, list[str | int](), root
    for depth, segment in enumerate(path):
        below = child(node, segment)
        shown.append(segment)
        if below is None:
            return place, (*shown, *path[depth + 1 :])
        place = _place_of(node, segment, below, at_key=at_key and depth == len(path) - 1)
        if isinstance(below, MappingNode) and below.restart is not None:
            place, shown = below.place, list(below.restart)
        node = below
    return place, tuple(shown)


def _place_of(parent: Node | None, segment: str | int, below: Node, *, at_key: bool) -> Place:
    if isinstance(parent, MappingNode) and (at_key or not isinstance(below, ScalarNode)):
        return parent.entries[str(segment)].place
    return below.place


def finding(root: Node, problem: Problem, base: KeyPath = ()) -> Finding:
    """Return a problem as a finding, with the place of its path. `base` leads to the tree's root."""
    place, shown = locate(root, problem.path, at_key=problem.at_key)
    is_elsewhere = place.file != root.place.file
    path = key_path(shown if is_elsewhere else (*base, *shown))
    return Finding(place.file, place.line, place.column, path, problem.what, problem.allowed, problem.fix)


def key_path(path: KeyPath) -> str:
    """Print a path: spec.containers[0].name, metadata.labels["app.kubernetes.io/name"]."""
    text = ""
    for segment in path:
        if isinstance(segment, int):
            text += f"[{segment}]"
        elif _BARE_KEY.fullmatch(segment):
            text += f".{segment}" if text else segment
        else:
            text += f'["{shortened(segment, 120)}"]'
    return text


def split_path(text: str) -> KeyPath:
    """Split a dotted path; list positions are written [0] or .0."""
    return tuple(
        int(part) if part.isascii() and part.isdecimal() else part for part in _SEGMENT.findall(text)
    )


def at_its_place(root: Node, each: Finding) -> Finding:
    """Return a finding that knows its key path alone with the place that the path has in a tree.

    A key that the files leave out is placed at what lacks it.
    """
    if each.line or not each.path.startswith("spec"):
        return each
    place, shown = locate(root, split_path(each.path))
    return replace(each, file=place.file, line=place.line, column=place.column, path=key_path(shown))


def with_value(root: Node, path: KeyPath, value: Node) -> Node:
    """Return a copy of the tree in which `value` stands at `path`; missing mappings on the way are made.

    Raises:
        LookupError: a list on the way has no such position, or a single value stands in the way.
    """
    if not path:
        return value
    segment, rest = path[0], path[1:]
    if isinstance(root, MappingNode) and isinstance(segment, str):
        entry = root.entries.get(segment) or Entry(value.place, MappingNode(value.place))
        below = MappingNode(value.place) if _is_empty(entry.value) else entry.value
        changed = Entry(entry.place, with_value(below, rest, value))
        return replace(root, entries={**root.entries, segment: changed})
    if isinstance(root, SequenceNode) and isinstance(segment, int) and segment < len(root.items):
        item = with_value(root.items[segment], rest, value)
        return replace(root, items=(*root.items[:segment], item, *root.items[segment + 1 :]))
    raise LookupError(segment)


def _is_empty(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None
