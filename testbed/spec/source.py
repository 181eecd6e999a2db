"""YAML files as trees: reads the bytes, composes the documents, reports what is not sensible YAML.

Owns files and syntax; which keys mean what is for the models. Documents are composed from the parser's events
by `_Composer`, because the library's own loader forgets places, keeps the last of two equal keys and expands
aliases without bound. Everything refused becomes a Finding, so that one bad file does not hide what the
others hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from testbed.errors import Finding, SpecError
from testbed.spec.problem import shortened
from testbed.spec.scalars import resolved_scalar
from testbed.spec.tree import Entry, MappingNode, Node, Place, ScalarNode, SequenceNode

LARGEST_FILE_BYTES = 64 * 1024 * 1024
DEEPEST_NESTING = 64
MOST_NODES = 2_000_000
MOST_ALIASED_NODES = 50_000

_TAG = "tag:yaml.org,2002:"
_NOT_PRINTABLE = re.compile(
    r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What one file holds: its documents without the empty ones, and what is wrong with it as YAML."""

    name: str
    documents: tuple[Node, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_file(path: str | Path) -> SourceFile:
    """Read a YAML file. Whatever is wrong with it stands in the result's findings."""
    name = str(path)
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(LARGEST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        return SourceFile(name, findings=(_unreadable(name, error),))
    if len(content) > LARGEST_FILE_BYTES:
        limit = f"at most {LARGEST_FILE_BYTES // 2**20} MiB are read"
        return SourceFile(name, findings=(Finding(name, 0, 0, "", "the file is too large", limit),))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return SourceFile(name, findings=(_not_utf8(name, content, error.start),))
    return read_text(text, name)


def read_text(text: str, name: str) -> SourceFile:
    """Read YAML from text; `name` stands for the file in messages."""
    odd = _NOT_PRINTABLE.search(text)
    if odd:
        line, column = _position(text, odd.start())
        what = f"the character U+{ord(odd[0]):04X} may not stand in YAML"
        return SourceFile(name, findings=(Finding(name, line, column, "", what, "", "remove it"),))
    composer, documents = _Composer(yaml.parse(text, Loader=_Loader), name), list[Node]()
    try:
        documents.extend(composer.documents())
    except yaml.MarkedYAMLError as error:
        documents.extend(composer.complete)
        composer.findings.append(_broken(name, text, error))
    except SpecError as error:
        documents.extend(composer.complete)
        composer.findings.extend(error.findings)
    return SourceFile(name, tuple(documents), tuple(composer.findings))


def _unreadable(name: str, error: OSError | ValueError) -> Finding:
    if isinstance(error, FileNotFoundError):
        return Finding(name, 0, 0, "", "there is no such file", "", "check the path")
    if isinstance(error, IsADirectoryError):
        return Finding(
            name, 0, 0, "", "this is a directory", "a YAML file is expected", "name the files in it"
        )
    if isinstance(error, PermissionError):
        return Finding(name, 0, 0, "", "the file may not be read", "", f"allow it: chmod +r {name}")
    reason = error.strerror if isinstance(error, OSError) else "the path is not valid"
    return Finding(name, 0, 0, "", f"the file cannot be read ({reason})")


def _not_utf8(name: str, content: bytes, offset: int) -> Finding:
    line, column = _position(content[:offset].decode("utf-8-sig", "replace"), offset)
    what = f"byte 0x{content[offset]:02x} is not UTF-8 text"
    return Finding(name, line, column, "", what, "", "save the file as UTF-8")


def _position(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _broken(name: str, text: str, error: yaml.MarkedYAMLError) -> Finding:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    here = text.split("\n")[line - 1][column - 1 : column] if mark and line <= text.count("\n") + 1 else ""
    what, fix = _syntax_message(error.problem or "", error.context or "", here)
    return Finding(name, line, column, "", what, "", fix)


_SYNTAX_MESSAGES = (
    (
        "mapping values are not allowed",
        "a ':' stands where no key can be",
        "check the indentation, or quote the value",
    ),
    ("could not find expected ':'", "a key without a ':'", "write key: value, and check the indentation"),
    (
        "did not find expected key",
        "the indentation does not fit the lines above",
        "align the keys of a mapping",
    ),
    (
        "did not find expected '-'",
        "a list and a mapping stand at the same indentation",
        "indent one of them, or begin the line with '- '",
    ),
    ("did not find expected ',' or ']'", "a list in [ ] is not closed", "close it with ]"),
    ("did not find expected ',' or '}'", "a mapping in { } is not closed", "close it with }"),
    ("found unexpected end of stream", "the file ends inside a quoted text", "close the quotes"),
    (
        "unknown escape character",
        "an unknown escape after '\\' in a quoted text",
        "use single quotes, or write \\\\",
    ),
    ("undefined tag handle", "a tag with an unknown handle", "remove the tag, the word that begins with '!'"),
)


def _syntax_message(problem: str, context: str, here: str) -> tuple[str, str]:
    if "cannot start any token" in problem:
        if here == "\t":
            return "a tab is used for indentation", "YAML indents with spaces: replace the tab"
        return f"no value can begin with '{here}'", "put the value in quotes"
    for known, what, fix in _SYNTAX_MESSAGES:
        if known in problem:
            return what, fix
    explained = ", ".join(part for part in (context, problem) if part)
    return f"this is not YAML ({explained})", "check the indentation and the quotes here"


@dataclass(slots=True)
class _Composer:
    """Turns the parser's events into trees."""

    events: Iterator[yaml.Event]
    file: str
    findings: list[Finding] = field(default_factory=list)
    complete: list[Node] = field(default_factory=list)
    nodes: int = 0
    aliased: int = 0
    anchors: dict[str, tuple[Node | None, int]] = field(default_factory=dict)

    def documents(self) -> tuple[Node, ...]:
        """Compose every document that is not empty. If one fails, those before it stand in `complete`."""
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.anchors = {}
                node = self._node(next(self.events), 0)
                if not (isinstance(node, ScalarNode) and node.value is None):
                    self.complete.append(node)
        done, self.complete = tuple(self.complete), []
        return done

    def _node(self, event: yaml.Event, depth: int) -> Node:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place)
        self.nodes += 1
        if self.nodes > MOST_NODES or depth > DEEPEST_NESTING:
            what = "nested too deeply" if depth > DEEPEST_NESTING else "too many values in one file"
            limit = f"at most {DEEPEST_NESTING} levels and {MOST_NODES} values"
            raise SpecError([self._finding(place, what, limit)])
        before = self.nodes
        anchor: str | None = getattr(event, "anchor", None)
        if anchor:
            self.anchors[anchor] = (None, 0)
        node = self._value(event, place, depth)
        if anchor:
            self.anchors[anchor] = (node, self.nodes - before + 1)
        return node

    def _value(self, event: yaml.Event, place: Place, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place)
        tag: str | None = getattr(event, "tag", None)
        if tag not in (None, f"{_TAG}map", f"{_TAG}seq"):
            self.findings.append(self._unknown_tag(place, tag or ""))
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(below := next(self.events), yaml.SequenceEndEvent):
                items.append(self._node(below, depth + 1))
            return SequenceNode(place, tuple(items))
        return self._mapping(place, depth)

    def _alias(self, event: yaml.AliasEvent, place: Place) -> Node:
        if event.anchor not in self.anchors:
            what = f"the alias *{event.anchor} has no anchor &{event.anchor} before it"
            raise SpecError([self._finding(place, what)])
        node, size = self.anchors[event.anchor]
        if node is None:
            raise SpecError([self._finding(place, f"the alias *{event.anchor} contains itself")])
        self.nodes += size
        self.aliased += size
        if self.aliased > MOST_ALIASED_NODES:
            limit = f"aliases may repeat {MOST_ALIASED_NODES} values in all"
            raise SpecError([self._finding(place, "the aliases of this file expand to too much", limit)])
        return node

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> ScalarNode:
        tag = event.tag.removeprefix(_TAG) if event.tag else ""
        if tag in ("str", "!") or (not tag and not event.implicit[0]):
            return ScalarNode(place, event.value)
        try:
            value = resolved_scalar(event.value)
        except ValueError as error:
            self.findings.append(
                self._finding(place, str(error), fix="put it in quotes if it is meant as text")
            )
            return ScalarNode(place, event.value)
        if tag not in ("", "int", "float", "bool", "null"):
            self.findings.append(self._unknown_tag(place, event.tag or ""))
        return ScalarNode(place, value)

    def _mapping(self, place: Place, depth: int) -> MappingNode:
        entries, merged = dict[str, Entry](), dict[str, Entry]()
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            at = self._place(event)
            is_merge = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]
            key = self._key(event, at, depth)
            value = self._node(next(self.events), depth + 1)
            if is_merge:
                merged = {**self._merged(value), **merged}
            elif key in entries:
                first = entries[key].place.line
                what = f"the key '{shortened(key)}' stands twice in this mapping; first in line {first}"
                self.findings.append(self._finding(at, what, fix="remove one of them"))
            elif key is not None:
                entries[key] = Entry(at, value)
        return MappingNode(place, {**{k: v for k, v in merged.items() if k not in entries}, **entries})

    def _key(self, event: yaml.Event, place: Place, depth: int) -> str | None:
        """Return a key as JSON has it: a number or a boolean becomes text."""
        node = self._node(event, depth + 1)
        if not isinstance(node, ScalarNode):
            self.findings.append(self._finding(place, "a key must be a single word, not a mapping or a list"))
            return None
        value = node.value
        if value is None or isinstance(value, bool):
            return "null" if value is None else str(value).lower()
        return str(value)

    def _merged(self, value: Node) -> dict[str, Entry]:
        sources = value.items if isinstance(value, SequenceNode) else (value,)
        merged = dict[str, Entry]()
        for source in sources:
            if isinstance(source, MappingNode):
                merged = {**source.entries, **merged}
            else:
                what = "'<<' merges mappings, and this is none"
                self.findings.append(self._finding(source.place, what, fix="write <<: *anchor"))
        return merged

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file)

    def _finding(self, place: Place, what: str, allowed: str = "", fix: str = "") -> Finding:
        return Finding(place.file, place.line, place.column, "", what, allowed, fix)

    def _unknown_tag(self, place: Place, tag: str) -> Finding:
        shown = tag.replace(_TAG, "!!")
        return self._finding(place, f"the tag {shortened(shown)} is not supported", fix="remove the tag")
