"""The leaf-spine underlay: every leaf router linked to every spine router, static routes with ECMP.

A leaf is a router with a switch for its nodes. Leaf k has the /24 (IPv6: /64) number k of nodeCIDR, counted
from 0, and the last usable address of it is the nodes' gateway. A link between leaf and spine has a /31 (RFC
3021; IPv6: /127, RFC 6164) from the end of nodeCIDR, the leaf's address first. Nodes hang on the leaves round
robin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from testbed.cluster.underlay import (
    LinkKind,
    LinkShape,
    NextHop,
    NodeAttachment,
    RouterInterface,
    Underlay,
    UnderlayRoute,
    UnderlayRouter,
)
from testbed.cluster.wiring import Segment, Wiring, attach_node, refuse_small_node_cidr, shape_of
from testbed.inet import IPNetwork, host_at
from testbed.spec.topology import TopologySpec

LEAF_PREFIX_LENGTH = {4: 24, 6: 64}
"""Prefix length of a leaf's subnet, by IP version."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A leaf: the segment of its nodes and its router's interface there."""

    segment: Segment
    interface: RouterInterface


@dataclass(frozen=True, slots=True)
class _FabricLink:
    """A link between a leaf and a spine, with both routers' interfaces."""

    leaf: str
    spine: str
    at_leaf: RouterInterface
    at_spine: RouterInterface


def plan_leaf_spine(topology: TopologySpec, node_names: Sequence[str]) -> Underlay:
    """Lay out a leaf-spine.

    Raises:
        CapacityError: nodeCIDR holds too few subnets, or a leaf's subnet too few addresses.
    """
    _check_room(topology, len(node_names))
    wiring = Wiring()
    leaves = [_add_leaf(wiring, number, topology.node_cidr) for number in range(1, topology.leaves + 1)]
    fabric = _add_fabric(wiring, topology)
    return Underlay(
        type=topology.type,
        mtu_bytes=topology.mtu,
        nodes=_add_nodes(wiring, leaves, node_names, shape_of(topology.node_link)),
        switches=tuple(leaf.segment.switch for leaf in leaves),
        routers=(*_leaf_routers(leaves, fabric), *_spine_routers(leaves, fabric, topology.spines)),
        links=tuple(wiring.links),
    )


def _check_room(topology: TopologySpec, nodes: int) -> None:
    cidr, leaves = topology.node_cidr, topology.leaves
    prefix_length = LEAF_PREFIX_LENGTH[cidr.version]
    subnet_size = 1 << (cidr.max_prefixlen - prefix_length)
    fabric_subnets = -(-2 * leaves * topology.spines // subnet_size)
    available = cidr.num_addresses // subnet_size
    needed = 1 + leaves + fabric_subnets
    if needed > available:
        raise refuse_small_node_cidr(
            cidr,
            f"{leaves} leaves and their links need {needed} subnets of /{prefix_length}, it has {available}",
        )
    most = -(-nodes // leaves)
    if most > subnet_size - 3:
        raise refuse_small_node_cidr(
            cidr, f"a leaf's /{prefix_length} has {subnet_size - 3} addresses for {most} nodes"
        )


def _add_leaf(wiring: Wiring, number: int, node_cidr: IPNetwork) -> _Leaf:
    prefix_length = LEAF_PREFIX_LENGTH[node_cidr.version]
    subnet_size = 1 << (node_cidr.max_prefixlen - prefix_length)
    subnet = ip_network(f"{host_at(node_cidr, number * subnet_size)}/{prefix_length}")
    router, switch = f"leaf{number}", f"s{number}"
    ends = wiring.switch_end(switch), wiring.host_end(router)
    wiring.join(*ends, LinkKind.INTERNAL, LinkShape())
    interface = wiring.router_interface(ends[1], host_at(subnet, -2), prefix_length)
    return _Leaf(Segment(switch, subnet, router, interface.address, interface.mac), interface)


def _add_fabric(wiring: Wiring, topology: TopologySpec) -> list[_FabricLink]:
    pairs = [
        (leaf, spine) for leaf in range(1, topology.leaves + 1) for spine in range(1, topology.spines + 1)
    ]
    return [
        _add_fabric_link(wiring, topology, (f"leaf{leaf}", f"spine{spine}"), 2 * (place - len(pairs)))
        for place, (leaf, spine) in enumerate(pairs)
    ]


def _add_fabric_link(
    wiring: Wiring, topology: TopologySpec, routers: tuple[str, str], offset: int
) -> _FabricLink:
    """Join (leaf, spine) under the two addresses of nodeCIDR at an offset, which counts from its end."""
    leaf, spine = routers
    cidr = topology.node_cidr
    ends = wiring.host_end(leaf), wiring.host_end(spine)
    wiring.join(*ends, LinkKind.FABRIC, shape_of(topology.fabric_link))
    at_leaf = wiring.router_interface(ends[0], host_at(cidr, offset), cidr.max_prefixlen - 1)
    at_spine = wiring.router_interface(ends[1], host_at(cidr, offset + 1), cidr.max_prefixlen - 1)
    return _FabricLink(leaf, spine, at_leaf, at_spine)


def _add_nodes(
    wiring: Wiring, leaves: Sequence[_Leaf], node_names: Sequence[str], shape: LinkShape
) -> Mapping[str, NodeAttachment]:
    nodes = {}
    for place, name in enumerate(node_names):
        turn, leaf = divmod(place, len(leaves))
        nodes[name] = attach_node(
            wiring, (place + 1, name), leaves[leaf].segment, offset=turn + 1, shape=shape
        )
    return nodes


def _leaf_routers(leaves: Sequence[_Leaf], fabric: Sequence[_FabricLink]) -> list[UnderlayRouter]:
    """A leaf reaches every other leaf over all spines."""
    routers = []
    for leaf in leaves:
        name = leaf.segment.router
        uplinks = [link for link in fabric if link.leaf == name]
        hops = tuple(NextHop(link.at_leaf.name, link.at_spine.address) for link in uplinks)
        towards = {other.segment.router: hops for other in leaves if other is not leaf}
        interfaces = (leaf.interface, *(link.at_leaf for link in uplinks))
        routers.append(UnderlayRouter(name, interfaces, _routes(leaves, towards), towards))
    return routers


def _spine_routers(
    leaves: Sequence[_Leaf], fabric: Sequence[_FabricLink], spines: int
) -> list[UnderlayRouter]:
    """A spine reaches every leaf over its own link to it."""
    routers = []
    for name in (f"spine{number}" for number in range(1, spines + 1)):
        downlinks = [link for link in fabric if link.spine == name]
        towards = {link.leaf: (NextHop(link.at_spine.name, link.at_leaf.address),) for link in downlinks}
        interfaces = tuple(link.at_spine for link in downlinks)
        routers.append(UnderlayRouter(name, interfaces, _routes(leaves, towards), towards))
    return routers


def _routes(leaves: Sequence[_Leaf], towards: Mapping[str, tuple[NextHop, ...]]) -> tuple[UnderlayRoute, ...]:
    return tuple(
        UnderlayRoute(leaf.segment.subnet, towards[leaf.segment.router])
        for leaf in leaves
        if leaf.segment.router in towards
    )
