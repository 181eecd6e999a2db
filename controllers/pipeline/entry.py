"""Tables CLASSIFIER, ARP_RESPONDER and SPOOF_GUARD: where a packet comes from, and whether it may."""

from __future__ import annotations

from controllers.pipeline.flows import flow, goto, ip_flow, mark_source
from controllers.pipeline.tables import (
    ETH_ARP,
    PATCH_PORT,
    TUNNEL_KEY,
    TUNNEL_PORT,
    VIRTUAL_ROUTER_MAC,
    Source,
    Table,
    pod_port,
)
from testbed.dataplanes.openflow import Flow, Move, Output, SetField
from testbed.dataplanes.program import NODE_OWNER
from testbed.intent import NodeIdentity, PodAttachment

OFPP_LOCAL = 0xFFFFFFFE


def node_entry(node: NodeIdentity) -> tuple[Flow, ...]:
    """Return the flows for packets from the overlay, the node itself, and the uplink."""
    to_conntrack = goto(Table.CONNTRACK)
    flows = [
        ip_flow(
            NODE_OWNER, Table.CLASSIFIER, 100, (mark_source(Source.GATEWAY), to_conntrack), in_port=OFPP_LOCAL
        ),
        flow(
            NODE_OWNER,
            Table.CLASSIFIER,
            100,
            (goto(Table.ARP_RESPONDER),),
            eth_type=ETH_ARP,
            in_port=OFPP_LOCAL,
        ),
        _arp_responder(),
    ]
    if node.encapsulation == "none":
        flows.append(
            ip_flow(
                NODE_OWNER,
                Table.CLASSIFIER,
                100,
                (mark_source(Source.UPLINK), to_conntrack),
                in_port=PATCH_PORT,
            )
        )
    else:
        flows.append(
            ip_flow(
                NODE_OWNER,
                Table.CLASSIFIER,
                100,
                (mark_source(Source.TUNNEL), to_conntrack),
                in_port=TUNNEL_PORT,
                tunnel_id=TUNNEL_KEY,
            )
        )
    return tuple(flows)


def pod_entry(pod: PodAttachment) -> tuple[Flow, ...]:
    """Return the flows that let a Pod in, under its own addresses alone (RFC 2827)."""
    port, owner = pod_port(pod.port), pod.key
    address = str(pod.addresses[0])
    return (
        ip_flow(
            owner, Table.CLASSIFIER, 90, (mark_source(Source.POD), goto(Table.SPOOF_GUARD)), in_port=port
        ),
        flow(owner, Table.CLASSIFIER, 90, (goto(Table.SPOOF_GUARD),), eth_type=ETH_ARP, in_port=port),
        ip_flow(
            owner,
            Table.SPOOF_GUARD,
            100,
            (goto(Table.CONNTRACK),),
            in_port=port,
            eth_src=pod.mac,
            ipv4_src=address,
        ),
        # A probe for one's own address (RFC 5227) must stay unanswered, or the Pod would see a conflict.
        flow(owner, Table.SPOOF_GUARD, 110, (), eth_type=ETH_ARP, in_port=port, arp_tpa=address),
        flow(
            owner,
            Table.SPOOF_GUARD,
            100,
            (goto(Table.ARP_RESPONDER),),
            eth_type=ETH_ARP,
            in_port=port,
            eth_src=pod.mac,
            arp_sha=pod.mac,
            arp_spa=address,
        ),
    )


def _arp_responder() -> Flow:
    """Turn a request into the reply (RFC 826): the virtual router answers for every address."""
    return flow(
        NODE_OWNER,
        Table.ARP_RESPONDER,
        100,
        (
            Move("eth_src", "eth_dst", 48),
            SetField("eth_src", VIRTUAL_ROUTER_MAC),
            SetField("arp_op", 2),
            Move("arp_sha", "arp_tha", 48),
            SetField("arp_sha", VIRTUAL_ROUTER_MAC),
            Move("arp_spa", "reg3", 32),
            Move("arp_tpa", "arp_spa", 32),
            Move("reg3", "arp_tpa", 32),
            Output("IN_PORT"),
        ),
        eth_type=ETH_ARP,
        arp_op=1,
    )
