"""What a mechanism of the dataplane is in a running cluster, and what a change to the cluster is.

A driver knows one node; a mechanism knows all of them. `mechanisms` says which there are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from testbed.dataplanes.program import Difference, ProgramObject, difference
from testbed.dataplanes.registry import Dataplane
from testbed.intent import ClusterIntent, IntentObject


@dataclass(slots=True)
class ClusterChange:
    """A change to a running cluster: intents before and after, and the keys of the objects touched.

    What it does to a node is rendered when the first mechanism asks, and kept for the others.
    """

    dataplane: Dataplane
    before: ClusterIntent
    after: ClusterIntent
    owners: Collection[str]
    _on_node: dict[str, Difference] = field(default_factory=dict)

    def touches(self, node: str) -> bool:
        """Whether it touches objects that are for this node alone."""
        local = (self.before.local[node], self.after.local[node])
        return any(owner in objects for owner in self.owners for objects in local)

    def on_node(self, node: str) -> Difference:
        """Return what the change does to one node's program; rendering costs what was touched."""
        if node not in self._on_node:
            before, after = self._objects(self.before, node), self._objects(self.after, node)
            self._on_node[node] = difference(before, after)
        return self._on_node[node]

    def _objects(self, intent: ClusterIntent, node: str) -> list[ProgramObject]:
        identity = intent.nodes[node]
        return [
            each
            for owner in sorted(self.owners)
            if (thing := _object_of(intent, node, owner)) is not None
            for each in self.dataplane.render_object(identity, thing)
        ]


class Mechanism(Protocol):
    """One mechanism in a running cluster.

    `start_stage` and `finish_stage` name what a user waits for there, "" where there is nothing to wait for.
    """

    start_stage: str
    finish_stage: str

    @property
    def datapath_type(self) -> str:
        """The kind of datapath of a switch, as records name it; "" where there is none."""

    @property
    def pods_compute_checksums(self) -> bool:
        """Whether Pods must compute checksums themselves, because a program takes their packets."""

    def start(self) -> None:
        """Start what the nodes need; their namespaces exist, their Pods do not."""

    def prepare(self, node: str) -> None:
        """Prepare a node for its Pods."""

    def apply(self, node: str, wanted: Sequence[ProgramObject]) -> None:
        """Bring a node to its program. Called for several nodes at once."""

    def finish(self, intent: ClusterIntent) -> None:
        """Do what takes all nodes, once each has its program."""

    def change(self, change: ClusterChange) -> None:
        """Make a change; return when every node has it in force."""


def _object_of(intent: ClusterIntent, node: str, owner: str) -> IntentObject | None:
    return intent.shared.get(owner) or intent.local[node].get(owner)
