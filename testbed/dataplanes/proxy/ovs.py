"""Services by the flows and groups of `controllers.pipeline`, in the bridges of the network plugin `ovs`.

The tables that lead packets to them are the plugin's, so that a cluster without this proxy walks the same
pipeline past an empty SERVICE table. Pure.
"""

from __future__ import annotations

from controllers.pipeline.render import render_shared
from testbed.dataplanes.program import ProgramObject
from testbed.intent import IntentObject, NodeIdentity, ServiceForward


def render_node(_node: NodeIdentity) -> tuple[ProgramObject, ...]:
    """Return nothing: the pipeline's own tables are the network plugin's."""
    return ()


def render_object(_node: NodeIdentity, thing: IntentObject) -> tuple[ProgramObject, ...]:
    """Return a Service's groups and flows."""
    return render_shared(thing) if isinstance(thing, ServiceForward) else ()
