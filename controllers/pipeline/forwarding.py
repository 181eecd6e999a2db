"""Tables L3_FORWARD and OUTPUT of br-int, and the one table of br-phy: where a packet goes.

Pods see a routed network: the virtual router is their only neighbour, it decrements the TTL, and no broadcast
leaves a Pod's port.
"""

from __future__ import annotations

from controllers.pipeline.entry import OFPP_LOCAL
from controllers.pipeline.flows import flow, goto, ip_flow, to_port
from controllers.pipeline.tables import (
    ETH_IPV4,
    HAIRPIN_MARK,
    OUTPUT_REGISTER,
    PATCH_PORT,
    SOURCE_REGISTER,
    TUNNEL_KEY,
    TUNNEL_PORT,
    UPLINK_BRIDGE,
    UPLINK_PATCH_PORT,
    UPLINK_PORT,
    VIRTUAL_ROUTER_MAC,
    Table,
    UplinkTable,
    owner_cookie,
    pod_port,
)
from testbed.dataplanes.openflow import (
    Action,
    DecrementTtl,
    Flow,
    MatchValue,
    Output,
    OutputRegister,
    SetField,
    match,
)
from testbed.dataplanes.program import NODE_OWNER
from testbed.inet import IPNetwork, MacAddress, mac_of
from testbed.intent import NodeIdentity, PeerNode, PodAttachment

GATEWAY_MAC_KIND = 3
LOCAL_PORT_16_BITS = 0xFFFE
"""OFPP_LOCAL as Open vSwitch reads it from a register: it takes 16 bits (xlate_output_reg_action)."""


def gateway_mac(node: NodeIdentity) -> MacAddress:
    """Return the MAC of a node's gateway port, the LOCAL port of br-int."""
    return mac_of(GATEWAY_MAC_KIND, node.index)


def node_forwarding(node: NodeIdentity) -> tuple[Flow, ...]:
    """Return the flows towards the node itself, and the output table."""
    to_self = (
        SetField("eth_src", VIRTUAL_ROUTER_MAC),
        SetField("eth_dst", gateway_mac(node)),
        DecrementTtl(),
        *to_port(LOCAL_PORT_16_BITS),
    )
    own = (*node.gateway_addresses, node.address)
    return (
        *(
            ip_flow(NODE_OWNER, Table.L3_FORWARD, 100, to_self, ipv4_dst=str(address))
            for address in own
            if address.version == 4
        ),
        flow(
            NODE_OWNER,
            Table.OUTPUT,
            100,
            (Output("IN_PORT"),),
            **{SOURCE_REGISTER: (HAIRPIN_MARK, HAIRPIN_MARK)},
        ),
        flow(NODE_OWNER, Table.OUTPUT, 0, (OutputRegister(OUTPUT_REGISTER),)),
    )


def pod_forwarding(pod: PodAttachment) -> tuple[Flow, ...]:
    """Return the flows towards a Pod of this node."""
    port, address = pod_port(pod.port), str(pod.addresses[0])
    deliver: tuple[Action, ...] = (
        SetField("eth_src", VIRTUAL_ROUTER_MAC),
        SetField("eth_dst", pod.mac),
        DecrementTtl(),
    )
    back = (*deliver, SetField(SOURCE_REGISTER, HAIRPIN_MARK, HAIRPIN_MARK), goto(Table.OUTPUT))
    return (
        ip_flow(pod.key, Table.L3_FORWARD, 100, (*deliver, *to_port(port)), ipv4_dst=address),
        ip_flow(pod.key, Table.L3_FORWARD, 110, back, in_port=port, ipv4_dst=address),
    )


def peer_forwarding(node: NodeIdentity, peer: PeerNode) -> tuple[Flow, ...]:
    """Return the flows towards the Pods of another node."""
    send = _routed(node, peer) if node.encapsulation == "none" else _tunnelled(peer)
    return tuple(
        ip_flow(peer.key, Table.L3_FORWARD, 50, send, ipv4_dst=_masked(network))
        for network in peer.pod_cidrs
        if network.version == 4
    )


def node_uplink(node: NodeIdentity) -> tuple[Flow, ...]:
    """Return the flows of br-phy: routed Pod traffic passes to and from br-int, the rest is the node's."""
    flows = [
        _uplink(0, (Output("LOCAL"),), in_port=UPLINK_PORT),
        _uplink(0, (Output(UPLINK_PORT),), in_port=OFPP_LOCAL),
    ]
    if node.encapsulation != "none":
        return tuple(flows)
    flows.append(_uplink(100, (Output(UPLINK_PORT),), in_port=UPLINK_PATCH_PORT))
    flows.extend(
        _uplink(
            100,
            (Output(UPLINK_PATCH_PORT),),
            in_port=UPLINK_PORT,
            eth_type=ETH_IPV4,
            eth_dst=node.mac,
            ipv4_dst=_masked(network),
        )
        for network in node.pod_cidrs
        if network.version == 4
    )
    return tuple(flows)


def _tunnelled(peer: PeerNode) -> tuple[Action, ...]:
    return (
        SetField("eth_src", VIRTUAL_ROUTER_MAC),
        SetField("eth_dst", VIRTUAL_ROUTER_MAC),
        SetField("tun_ipv4_dst", str(peer.address)),
        SetField("tunnel_id", TUNNEL_KEY),
        DecrementTtl(),
        *to_port(TUNNEL_PORT),
    )


def _routed(node: NodeIdentity, peer: PeerNode) -> tuple[Action, ...]:
    return (
        SetField("eth_src", node.mac),
        SetField("eth_dst", peer.next_hop_mac),
        DecrementTtl(),
        *to_port(PATCH_PORT),
    )


def _masked(network: IPNetwork) -> tuple[str, str]:
    return str(network.network_address), str(network.netmask)


def _uplink(priority: int, actions: tuple[Action, ...], **fields: MatchValue) -> Flow:
    table = int(UplinkTable.SWITCH)
    return Flow(UPLINK_BRIDGE, table, priority, match(**fields), actions, owner_cookie(NODE_OWNER))
