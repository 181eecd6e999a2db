"""Tables CONNTRACK, CONNTRACK_ZONE, CONNTRACK_STATE, COMMIT and HAIRPIN: connections and their translation.

Every connection is recorded in the main zone, so that a packet that fits no connection (a SYN+ACK or RST
out of nowhere) is invalid and dropped, as kube-proxy's KUBE-FORWARD does. A connection that a Pod makes to
itself through a Service has its source hidden in a zone of its own; else the Pod would answer itself
directly, past the translation.
"""

from __future__ import annotations

from ipaddress import ip_address

from controllers.pipeline.flows import goto, ip_flow
from controllers.pipeline.tables import (
    CT_ESTABLISHED,
    CT_INVALID,
    CT_NEW,
    CT_RELATED,
    HAIRPIN_ADDRESS,
    HAIRPIN_ZONE,
    MAIN_ZONE,
    Table,
    pod_port,
)
from testbed.dataplanes.openflow import Flow, Nat, Track
from testbed.dataplanes.program import NODE_OWNER
from testbed.intent import PodAttachment


def node_tracking() -> tuple[Flow, ...]:
    """Return the flows every node has."""
    look_up_main = Track(MAIN_ZONE, int(Table.CONNTRACK_STATE), nat=Nat())
    look_up_hairpin = Track(HAIRPIN_ZONE, int(Table.CONNTRACK_ZONE), nat=Nat())
    commit = Track(MAIN_ZONE, int(Table.HAIRPIN), is_commit=True)
    state = Table.CONNTRACK_STATE
    return (
        ip_flow(NODE_OWNER, Table.CONNTRACK, 100, (look_up_hairpin,), ipv4_dst=HAIRPIN_ADDRESS),
        ip_flow(NODE_OWNER, Table.CONNTRACK, 0, (look_up_main,)),
        ip_flow(NODE_OWNER, Table.CONNTRACK_ZONE, 0, (look_up_main,)),
        ip_flow(NODE_OWNER, state, 200, (), ct_state=CT_INVALID),
        ip_flow(NODE_OWNER, state, 100, (goto(Table.HAIRPIN),), ct_state=CT_ESTABLISHED),
        ip_flow(NODE_OWNER, state, 100, (goto(Table.HAIRPIN),), ct_state=CT_RELATED),
        ip_flow(NODE_OWNER, state, 50, (goto(Table.SERVICE),), ct_state=CT_NEW),
        ip_flow(NODE_OWNER, Table.COMMIT, 0, (commit,)),
        ip_flow(NODE_OWNER, Table.HAIRPIN, 0, (goto(Table.L3_FORWARD),)),
    )


def pod_hairpin(pod: PodAttachment) -> tuple[Flow, ...]:
    """Return the flow that hides a Pod's address from itself."""
    address = str(pod.addresses[0])
    hide = Nat("src", ip_address(HAIRPIN_ADDRESS))
    return (
        ip_flow(
            pod.key,
            Table.HAIRPIN,
            100,
            (Track(HAIRPIN_ZONE, int(Table.L3_FORWARD), is_commit=True, nat=hide),),
            in_port=pod_port(pod.port),
            ipv4_src=address,
            ipv4_dst=address,
        ),
    )
