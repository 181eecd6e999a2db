"""No network plugin: nothing is programmed; nodes stay NotReady and Pods Pending, as in a real cluster."""

from __future__ import annotations

from testbed.dataplanes.program import NodeProgram
from testbed.intent import NodeIntent

NAME = "none"
ENCAPSULATIONS = ("none",)
MECHANISMS: tuple[str, ...] = ()


def render(intent: NodeIntent) -> NodeProgram:
    """Return the empty program."""
    return NodeProgram(intent.node.name, {"node": ()})
