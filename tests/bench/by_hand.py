"""A path between two Pods built by hand: bridges, veths and routes, and not a single rule.

It has the same parts in the same order as flannel's with backend host-gw, and the same addresses: Pod, bridge
of the node, route, uplink, bridge of the underlay, and back up. Runs inside a sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network

from testbed.dataplanes.linux import Sysctl
from testbed.drivers import iproute
from testbed.emulation import namespaces
from testbed.inet import IPAddress, host_at
from testbed.intent import NodeIdentity

BRIDGE = "br0"
_SYSCTLS = (
    Sysctl("net/ipv4/ip_forward", "1"),
    Sysctl("net/ipv4/conf/all/rp_filter", "0"),
    Sysctl("net/ipv4/conf/default/rp_filter", "0"),
)
"""What the testbed and flannel set on a node."""


def node_namespace(path: str, node: str) -> str:
    """Return the name of a node's namespace on one of several paths."""
    return f"hand:{path}:{node}"


def pod_namespace(path: str, node: str) -> str:
    """Return the name of the namespace of a node's Pod."""
    return f"hand:{path}:{node}:pod"


def pod_address(node: NodeIdentity) -> IPAddress:
    """Return the address of a node's Pod."""
    return host_at(_pod_cidr(node), 2)


def build(path: str, nodes: Mapping[str, NodeIdentity]) -> None:
    """Build a path of two or more nodes with one Pod each.

    Args:
        path: its name: a few letters, for it is part of interfaces' names.
        nodes: nodes of a cluster whose addresses and MTU are taken.

    Raises:
        OSError, CommandFailed: the kernel refuses.
    """
    underlay = f"{path}-s"
    iproute.batch(
        "", [f"link add {underlay} type bridge stp_state 0 mcast_snooping 0", f"link set {underlay} up"]
    )
    for node in nodes.values():
        _build_node(path, underlay, node)
        others = [other for other in nodes.values() if other is not node]
        routes = [f"route add {_pod_cidr(other)} via {other.address}" for other in others]
        iproute.batch(node_namespace(path, node.name), routes)


def _build_node(path: str, underlay: str, node: NodeIdentity) -> None:
    own, pod = node_namespace(path, node.name), pod_namespace(path, node.name)
    plug, mtu, cidr = f"{path}-{node.index}", node.mtu_bytes, _pod_cidr(node)
    for name in (own, pod):
        namespaces.create(name, has_ipv6=False)
    iproute.write_sysctls(own, _SYSCTLS)
    iproute.batch(
        "",
        [
            f"link add {plug} mtu {mtu} type veth peer name uplink netns {own} mtu {mtu}",
            f"link set {plug} master {underlay} up",
        ],
    )
    iproute.batch(
        own,
        [
            f"addr add {node.address}/{node.prefix_length} dev uplink",
            "link set uplink up",
            f"link add {BRIDGE} type bridge",
            f"addr add {host_at(cidr, 1)}/{cidr.prefixlen} dev {BRIDGE}",
            f"link add pod mtu {mtu} type veth peer name eth0 netns {pod} mtu {mtu}",
            f"link set pod master {BRIDGE} up",
            f"link set {BRIDGE} mtu {mtu} up",
        ],
    )
    iproute.batch(
        pod,
        [
            f"addr add {pod_address(node)}/{cidr.prefixlen} dev eth0",
            "link set eth0 up",
            f"route add default via {host_at(cidr, 1)}",
        ],
    )


def _pod_cidr(node: NodeIdentity) -> IPv4Network:
    return next(cidr for cidr in node.pod_cidrs if isinstance(cidr, IPv4Network))
