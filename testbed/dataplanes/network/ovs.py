"""The `ovs` plugin: two Open vSwitch bridges a node, their ports, and the flows of `controllers.pipeline`.

br-int holds the Pods and the tunnel; br-phy holds the uplink and takes over the node's address. Pure.
"""

from __future__ import annotations

from ipaddress import ip_network

from controllers.pipeline.forwarding import gateway_mac
from controllers.pipeline.render import render_local
from controllers.pipeline.render import render_node as render_pipeline
from controllers.pipeline.tables import (
    INTEGRATION_BRIDGE,
    PATCH_PORT,
    TUNNEL_PORT,
    UPLINK_BRIDGE,
    UPLINK_PATCH_PORT,
    UPLINK_PORT,
    VIRTUAL_ROUTER_MAC,
    datapath_id,
    pod_port,
)
from testbed.dataplanes.linux import InterfaceAddress, LinkSetting, PodInterface, Route
from testbed.dataplanes.openvswitch import OvsBridge, OvsPort
from testbed.dataplanes.program import ProgramObject
from testbed.intent import IntentObject, NodeIdentity, PeerNode, PodAttachment

_TUNNEL_UDP_PORT = {"vxlan": 4789, "geneve": 6081}
"""IANA port numbers (RFC 7348, RFC 8926)."""


def render_node(node: NodeIdentity) -> tuple[ProgramObject, ...]:
    """Return what a node has whatever its objects are."""
    return (*_bridges(node), *_ports(node), *_linux(node), *render_pipeline(node))


def render_object(node: NodeIdentity, thing: IntentObject) -> tuple[ProgramObject, ...]:
    """Return the objects of a Pod or a peer. Services are `proxy.ovs`' business."""
    if isinstance(thing, PodAttachment):
        port = OvsPort(INTEGRATION_BRIDGE, thing.interface, pod_port(thing.port))
        return (pod_interface(node, thing), port, *render_local(node, thing))
    return render_local(node, thing) if isinstance(thing, PeerNode) else ()


def pod_interface(node: NodeIdentity, pod: PodAttachment) -> PodInterface:
    """Return what a Pod's eth0 is given: host addresses, and the virtual router as its only neighbour.

    The pipeline answers ARP for whoever asks all the same.
    """
    return PodInterface(
        pod=f"{pod.namespace}/{pod.name}",
        addresses=tuple((address, address.max_prefixlen) for address in pod.addresses),
        gateways=node.gateway_addresses,
        gateway_mac=VIRTUAL_ROUTER_MAC,
    )


def _bridges(node: NodeIdentity) -> tuple[OvsBridge, ...]:
    return (
        OvsBridge(UPLINK_BRIDGE, datapath_id(node.index, UPLINK_BRIDGE), node.mac),
        OvsBridge(INTEGRATION_BRIDGE, datapath_id(node.index, INTEGRATION_BRIDGE), gateway_mac(node)),
    )


def _ports(node: NodeIdentity) -> tuple[OvsPort, ...]:
    inward, outward = f"{INTEGRATION_BRIDGE}-patch", f"{UPLINK_BRIDGE}-patch"
    ports = [
        OvsPort(UPLINK_BRIDGE, node.uplink, UPLINK_PORT),
        OvsPort(UPLINK_BRIDGE, outward, UPLINK_PATCH_PORT, "patch", (("peer", inward),)),
        OvsPort(INTEGRATION_BRIDGE, inward, PATCH_PORT, "patch", (("peer", outward),)),
    ]
    udp_port = _TUNNEL_UDP_PORT.get(node.encapsulation)
    if udp_port is not None:
        options = (("dst_port", str(udp_port)), ("key", "flow"), ("remote_ip", "flow"))
        ports.append(
            OvsPort(INTEGRATION_BRIDGE, f"{node.encapsulation}0", TUNNEL_PORT, node.encapsulation, options)
        )
    return tuple(ports)


def _linux(node: NodeIdentity) -> tuple[ProgramObject, ...]:
    things: list[ProgramObject] = [
        LinkSetting(UPLINK_BRIDGE, node.underlay_mtu_bytes),
        LinkSetting(INTEGRATION_BRIDGE, node.mtu_bytes),
        InterfaceAddress(UPLINK_BRIDGE, node.address, node.prefix_length),
    ]
    for gateway, network in zip(node.gateway_addresses, node.pod_cidrs, strict=True):
        things.append(InterfaceAddress(INTEGRATION_BRIDGE, gateway, network.prefixlen))
    source = node.gateway_addresses[0]
    for network in (*node.cluster_pod_cidrs, *node.service_cidrs):
        if network.version == source.version:
            things.append(Route(network, INTEGRATION_BRIDGE, source=source))
    if node.gateway is not None:
        default = ip_network("0.0.0.0/0" if node.gateway.version == 4 else "::/0")
        things.append(Route(default, UPLINK_BRIDGE, node.gateway))
    return tuple(things)
