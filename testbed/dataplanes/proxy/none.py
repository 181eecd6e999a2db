"""No service proxy: nobody serves the Services' addresses."""

from __future__ import annotations

from testbed.dataplanes.program import ProgramObject
from testbed.intent import IntentObject, NodeIdentity


def render_node(_node: NodeIdentity) -> tuple[ProgramObject, ...]:
    """Return nothing."""
    return ()


def render_object(_node: NodeIdentity, _thing: IntentObject) -> tuple[ProgramObject, ...]:
    """Return nothing."""
    return ()
