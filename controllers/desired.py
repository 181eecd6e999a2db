"""What the switches should hold: the current intents and their rendering, kept per object.

Pure: no Ryu, no sockets. A change is rendered alone; an object that many nodes share is rendered once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controllers.pipeline.render import Entries, render_local, render_node, render_shared
from testbed.dataplanes.openflow import Flow, Group
from testbed.dataplanes.program import NODE_OWNER
from testbed.intent import IntentObject, NodeIdentity


@dataclass(frozen=True, slots=True)
class Change:
    """What a switch must do for one owner: entries it had, entries it must have."""

    before: Entries
    after: Entries


@dataclass(slots=True)
class Desired:
    """The rendered entries of every node, by owner."""

    nodes: dict[str, NodeIdentity] = field(default_factory=dict)
    shared: dict[str, Entries] = field(default_factory=dict)
    local: dict[str, dict[str, Entries]] = field(default_factory=dict)

    def replace(
        self,
        nodes: Iterable[NodeIdentity],
        shared: Mapping[str, IntentObject],
        local: Mapping[str, Mapping[str, IntentObject]],
    ) -> None:
        """Take a whole new snapshot in place of what was."""
        self.nodes = {node.name: node for node in nodes}
        self.shared = {key: render_shared(thing) for key, thing in shared.items()}
        self.local = {name: {NODE_OWNER: render_node(node)} for name, node in self.nodes.items()}
        for name, things in local.items():
            self.local[name].update(
                (key, render_local(self.nodes[name], thing)) for key, thing in things.items()
            )

    def update_shared(self, changed: Mapping[str, IntentObject], removed: Iterable[str]) -> list[Change]:
        """Change shared objects; return what every switch must do."""
        rendered = {key: render_shared(thing) for key, thing in changed.items()}
        return _update(self.shared, rendered, removed)

    def update_local(
        self, name: str, changed: Mapping[str, IntentObject], removed: Iterable[str]
    ) -> list[Change]:
        """Change the objects of one node; return what its switches must do.

        Raises:
            KeyError: no such node.
        """
        node = self.nodes[name]
        rendered = {key: render_local(node, thing) for key, thing in changed.items()}
        return _update(self.local[name], rendered, removed)

    def entries(self, name: str, bridge: str) -> tuple[Flow | Group, ...]:
        """Return all a node's bridge must hold, groups first."""
        owners = (*self.local[name].values(), *self.shared.values())
        held = [entry for entries in owners for entry in entries if entry.bridge == bridge]
        return tuple(sorted(held, key=lambda entry: isinstance(entry, Flow)))


def _update(
    held: dict[str, Entries], rendered: Mapping[str, Entries], removed: Iterable[str]
) -> list[Change]:
    changes = []
    for key, entries in rendered.items():
        before = held.get(key, ())
        if before != entries:
            changes.append(Change(before, entries))
            held[key] = entries
    changes.extend(Change(held.pop(key), ()) for key in removed if key in held)
    return changes
