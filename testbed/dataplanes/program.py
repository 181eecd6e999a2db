"""What a program is, whatever its objects are, and the difference between two programs.

A program is a set of objects, each with an identity (`key`) and a text as the mechanism's own tools write it.
Programs are kept per owner (the Kubernetes object they serve), so a change costs what the change is worth.
The objects are defined one file a mechanism: `linux`, `openvswitch`, `openflow`, `iptables`, `nftables`.
Pure; drivers apply, `controllers.pipeline` and `network/`, `proxy/` produce.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

NODE_OWNER = "node"
"""Owner of what a node has whatever its objects are; others are keys of intent objects."""


class ProgramObject(Protocol):
    """What every object of a program can do."""

    @property
    def key(self) -> str:
        """Identity on its node: two objects with one key cannot both exist."""

    def text(self) -> str:
        """The object as the mechanism's own tool would write it: one line, or several."""


@dataclass(frozen=True, slots=True)
class NodeProgram:
    """The state one node must have: objects by owner: NODE_OWNER, or an intent object's key."""

    node: str
    owners: Mapping[str, tuple[ProgramObject, ...]] = field(default_factory=dict)

    def objects(self) -> tuple[ProgramObject, ...]:
        """All objects, owners in sorted order, NODE_OWNER first."""
        names = sorted(self.owners, key=lambda name: (name != NODE_OWNER, name))
        return tuple(thing for name in names for thing in self.owners[name])

    def text(self) -> str:
        """The whole program, under a comment per owner."""
        lines = [f"# node {self.node}"]
        for name in sorted(self.owners, key=lambda name: (name != NODE_OWNER, name)):
            lines.append(f"## {name}")
            lines.extend(thing.text() for thing in self.owners[name])
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Difference:
    """What turns one set of objects into another: `replaced` holds the wanted form of what differs."""

    added: tuple[ProgramObject, ...]
    replaced: tuple[ProgramObject, ...]
    removed: tuple[ProgramObject, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.replaced or self.removed)


def difference(observed: Iterable[ProgramObject], desired: Iterable[ProgramObject]) -> Difference:
    """Return what must change for `observed` to become `desired`; objects compare by key, then by value."""
    have = {thing.key: thing for thing in observed}
    want = {thing.key: thing for thing in desired}
    return Difference(
        added=tuple(thing for key, thing in want.items() if key not in have),
        replaced=tuple(thing for key, thing in want.items() if key in have and have[key] != thing),
        removed=tuple(thing for key, thing in have.items() if key not in want),
    )
