"""The `flannel` plugin: a Linux bridge for the Pods, and a VTEP or plain routes towards the peers.

What flanneld and the CNI plugins flannel and bridge (hairpinMode, isDefaultGateway) leave on a node.
Sources: flannel's pkg/backend/vxlan, pkg/backend/hostgw, pkg/trafficmngr/iptables and
Documentation/kube-flannel.yml; cni-plugin's flannel_linux.go. Only IPv4 is rendered; hostPorts (the portmap
plugin) are nobody's yet. Pure.
"""

from __future__ import annotations

from testbed.dataplanes.iptables import IptablesChain, IptablesRule
from testbed.dataplanes.linux import (
    Bridge,
    BridgePort,
    ForwardingEntry,
    InterfaceAddress,
    Neighbour,
    PodInterface,
    Route,
    Sysctl,
    VxlanLink,
)
from testbed.dataplanes.program import ProgramObject
from testbed.inet import IPNetwork, IPNetworks, MacAddress, host_at, mac_of, pod_mac
from testbed.intent import IntentObject, NodeIdentity, PeerNode, PodAttachment

BRIDGE = "cni0"
VTEP = "flannel.1"
VNI = 1
VXLAN_UDP_PORT = 8472
"""Linux' own port from before IANA gave VXLAN 4789; flannel leaves the kernel's default."""

VTEP_MAC_KIND = 5
"""Kind, for `mac_of`, of VTEPs; the number is the node's index. Real ones are random."""

_BY_VXLAN = "vxlan"
_AFTER_KUBE_PROXY = 100
"""Rank of jumps from built-in chains: flannel appends its own, kube-proxy puts its own in front."""

_MASQUERADE = '-m comment --comment "flanneld masq"'
_FORWARD = '-m comment --comment "flanneld forward"'
_KUBE_PROXY_MARK = "0x4000/0x4000"


def vtep_mac(index: int) -> MacAddress:
    """Return the MAC of the VTEP of a node, given by its index."""
    return mac_of(VTEP_MAC_KIND, index)


def render_node(node: NodeIdentity) -> tuple[ProgramObject, ...]:
    """Return what a node has whatever its objects are."""
    return (
        Sysctl("net/ipv4/ip_forward", "1"),
        *(thing for own in _ipv4(node.pod_cidrs) for thing in _links(node, own)),
        *(thing for own in _ipv4(node.pod_cidrs) for thing in _masquerading(node, own)),
        *_forwarding(node),
    )


def render_object(node: NodeIdentity, thing: IntentObject) -> tuple[ProgramObject, ...]:
    """Return the objects of a Pod or a peer. Services are the service proxy's business."""
    if isinstance(thing, PodAttachment):
        return (pod_interface(node, thing), BridgePort(BRIDGE, thing.interface, hairpin=True))
    if isinstance(thing, PeerNode):
        return tuple(each for cidr in _ipv4(thing.pod_cidrs) for each in _way_to(node, thing, cidr))
    return ()


def pod_interface(node: NodeIdentity, pod: PodAttachment) -> PodInterface:
    """Return what a Pod's eth0 is given: the podCIDR on the link, and the cluster through the gateway.

    It learns its neighbours by ARP, as any host on a bridge does.
    """
    return PodInterface(
        pod=f"{pod.namespace}/{pod.name}",
        addresses=tuple(
            (address, cidr.prefixlen)
            for address in pod.addresses
            for cidr in _ipv4(node.pod_cidrs)
            if address in cidr
        ),
        gateways=tuple(address for address in node.gateway_addresses if address.version == 4),
        routes=_ipv4(node.cluster_pod_cidrs),
    )


def _ipv4(networks: IPNetworks) -> IPNetworks:
    return tuple(network for network in networks if network.version == 4)


def _links(node: NodeIdentity, own: IPNetwork) -> tuple[ProgramObject, ...]:
    """Return the bridge with the gateway's address and, to encapsulate, the VTEP with the network's."""
    gateway = host_at(own, 1)
    bridge = (
        Bridge(BRIDGE, node.mtu_bytes, pod_mac(gateway)),
        InterfaceAddress(BRIDGE, gateway, own.prefixlen),
    )
    if node.encapsulation != _BY_VXLAN:
        return bridge
    vtep = VxlanLink(
        VTEP,
        vni=VNI,
        underlying=node.uplink,
        local=node.address,
        udp_port=VXLAN_UDP_PORT,
        mtu_bytes=node.mtu_bytes,
        mac=vtep_mac(node.index),
    )
    return (*bridge, vtep, InterfaceAddress(VTEP, own.network_address, own.max_prefixlen))


def _way_to(node: NodeIdentity, peer: PeerNode, cidr: IPNetwork) -> tuple[ProgramObject, ...]:
    """Return what leads to the Pods of a peer. By tunnel, the route comes last, as in flannel."""
    is_direct = node.direct_routing and peer.shares_segment
    if node.encapsulation != _BY_VXLAN or is_direct:
        return (Route(cidr, node.uplink, peer.address),)
    mac = vtep_mac(peer.index)
    return (
        Neighbour(VTEP, cidr.network_address, mac),
        ForwardingEntry(VTEP, mac, peer.address),
        Route(cidr, VTEP, cidr.network_address, is_onlink=True),
    )


def _masquerading(node: NodeIdentity, own: IPNetwork) -> tuple[ProgramObject, ...]:
    """Return what gives packets that leave or enter the cluster the node's address."""
    rules = [f"-m mark --mark {_KUBE_PROXY_MARK} {_MASQUERADE} -j RETURN"]
    for cluster in _ipv4(node.cluster_pod_cidrs):
        rules += [
            f"-s {own} -d {cluster} {_MASQUERADE} -j RETURN",
            f"-s {cluster} -d {own} {_MASQUERADE} -j RETURN",
            f"! -s {cluster} -d {own} {_MASQUERADE} -j RETURN",
            f"-s {cluster} ! -d 224.0.0.0/4 {_MASQUERADE} -j MASQUERADE --random-fully",
            f"! -s {cluster} -d {cluster} {_MASQUERADE} -j MASQUERADE --random-fully",
        ]
    return (
        IptablesChain("nat", "FLANNEL-POSTRTG", tuple(rules)),
        IptablesRule("nat", "POSTROUTING", f"{_MASQUERADE} -j FLANNEL-POSTRTG", _AFTER_KUBE_PROXY),
    )


def _forwarding(node: NodeIdentity) -> tuple[ProgramObject, ...]:
    """Return what lets Pods' packets through, whatever a node's policy for forwarded ones is."""
    rules = [
        f"{end} {cluster} {_FORWARD} -j ACCEPT"
        for cluster in _ipv4(node.cluster_pod_cidrs)
        for end in ("-s", "-d")
    ]
    return (
        IptablesChain("filter", "FLANNEL-FWD", tuple(rules)),
        IptablesRule("filter", "FORWARD", f"{_FORWARD} -j FLANNEL-FWD", _AFTER_KUBE_PROXY),
    )
