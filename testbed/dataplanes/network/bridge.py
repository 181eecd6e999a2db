"""The `bridge` plugin: one node whose Pods hang on a Linux bridge. The smallest network plugin there can be.

What the CNI plugin bridge (isGateway, hairpinMode) leaves on a node. It joins no nodes: the catalogue gives
it one. docs/adding-a-plugin.md explains this file line by line. Pure.
"""

from __future__ import annotations

from testbed.dataplanes.linux import Bridge, BridgePort, InterfaceAddress, PodInterface, Sysctl
from testbed.dataplanes.program import ProgramObject
from testbed.inet import pod_mac
from testbed.intent import IntentObject, NodeIdentity, PodAttachment

BRIDGE = "cni0"


def render_node(node: NodeIdentity) -> tuple[ProgramObject, ...]:
    """Return the bridge with the gateway's address on it, and leave to forward what Pods send to it."""
    gateway = node.gateway_addresses[0]
    return (
        Sysctl("net/ipv4/ip_forward", "1"),
        Bridge(BRIDGE, node.mtu_bytes, pod_mac(gateway)),
        InterfaceAddress(BRIDGE, gateway, node.pod_cidrs[0].prefixlen),
    )


def render_object(node: NodeIdentity, thing: IntentObject) -> tuple[ProgramObject, ...]:
    """Return a Pod's interface and its port. There are no peers, and Services are the proxy's business."""
    if isinstance(thing, PodAttachment):
        return (pod_interface(node, thing), BridgePort(BRIDGE, thing.interface, hairpin=True))
    return ()


def pod_interface(node: NodeIdentity, pod: PodAttachment) -> PodInterface:
    """Return what a Pod's eth0 is given: its address in the node's podCIDR, and the gateway."""
    address, cidr = pod.addresses[0], node.pod_cidrs[0]
    return PodInterface(
        f"{pod.namespace}/{pod.name}", ((address, cidr.prefixlen),), (node.gateway_addresses[0],)
    )
