"""From intent objects to flows and groups: the one door to the pipeline.

`render_shared` gives what is equal on every node, `render_local` what depends on the node; together with
`render_node` they make up a node's OpenFlow program.
"""

from __future__ import annotations

from controllers.pipeline.entry import node_entry, pod_entry
from controllers.pipeline.forwarding import node_forwarding, node_uplink, peer_forwarding, pod_forwarding
from controllers.pipeline.service import node_service, service_entries
from controllers.pipeline.tracking import node_tracking, pod_hairpin
from testbed.dataplanes.openflow import Flow, Group
from testbed.intent import IntentObject, NodeIdentity, PeerNode, PodAttachment, ServiceForward

Entries = tuple[Flow | Group, ...]


def render_node(node: NodeIdentity) -> Entries:
    """Return what a node has whatever its objects are."""
    return (
        *node_entry(node),
        *node_tracking(),
        *node_service(node),
        *node_forwarding(node),
        *node_uplink(node),
    )


def render_local(node: NodeIdentity, thing: IntentObject) -> Entries:
    """Return the entries of an object on one node."""
    if isinstance(thing, PodAttachment):
        return (*pod_entry(thing), *pod_hairpin(thing), *pod_forwarding(thing))
    if isinstance(thing, PeerNode):
        return peer_forwarding(node, thing)
    return render_shared(thing)


def render_shared(thing: IntentObject) -> Entries:
    """Return the entries of an object that looks the same on every node.

    Raises:
        TypeError: the object depends on its node.
    """
    if isinstance(thing, ServiceForward):
        return service_entries(thing)
    raise TypeError(f"{type(thing).__name__} depends on its node")
