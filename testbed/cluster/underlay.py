"""What nodes are plugged into: switches, routers and links, with every name, address, MAC and route.

Owns the types and the questions asked of an underlay; `underlay_plan.py` lays one out. Emulation builds
exactly this, and whoever needs a next hop finds it here without asking the network.

Devices have short names that never clash: nodes `n<index>`, switches `s<k>`, routers `leaf<k>` and
`spine<k>`. Interfaces are `<device>-eth<k>`, within the kernel's 15 characters; k counts a device's links in
their order, from 0 on nodes and routers and from 1 on switches, as Mininet does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from testbed.inet import IPAddress, IPNetwork, IPNetworks, MacAddress

_NO_MAC = MacAddress("")


class LinkKind(StrEnum):
    """What a link joins: a node, two devices of the fabric, or a leaf's router with its switch."""

    NODE = "node"
    FABRIC = "fabric"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class LinkShape:
    """The shape of a link, each way; None where the kernel's default stays. `loss` is a fraction, 0 to 1."""

    bandwidth_bps: int | None = None
    delay_ns: int | None = None
    loss: float | None = None
    queue_packets: int | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nothing about the link is shaped."""
        return self == LinkShape()


@dataclass(frozen=True, slots=True, order=True)
class LinkEnd:
    """One end of a link."""

    device: str
    interface: str


@dataclass(frozen=True, slots=True)
class UnderlayLink:
    """A link. `a` is the end nearer to the nodes."""

    a: LinkEnd
    b: LinkEnd
    kind: LinkKind
    shape: LinkShape = LinkShape()


@dataclass(frozen=True, slots=True)
class NodeAttachment:
    """A node's uplink, into switch `attached_to`.

    `router`, `gateway` and `gateway_mac` are the leaf router's; "", None and "" where there is none.
    Nodes with the same `segment` reach each other without a router.
    """

    node: str
    index: int
    device: str
    interface: str
    mac: MacAddress
    address: IPAddress
    segment: IPNetwork
    attached_to: str
    router: str = ""
    gateway: IPAddress | None = None
    gateway_mac: MacAddress = _NO_MAC

    @property
    def prefix_length(self) -> int:
        """Prefix length of the address."""
        return self.segment.prefixlen


@dataclass(frozen=True, slots=True)
class RouterInterface:
    """An interface of a router."""

    name: str
    mac: MacAddress
    address: IPAddress
    prefix_length: int


@dataclass(frozen=True, slots=True, order=True)
class NextHop:
    """One way on: out of `interface`, to `address`."""

    interface: str
    address: IPAddress


@dataclass(frozen=True, slots=True)
class UnderlayRoute:
    """A static route of a router; with several next hops, connections are spread over them (ECMP)."""

    destination: IPNetwork
    next_hops: tuple[NextHop, ...]


@dataclass(frozen=True, slots=True)
class UnderlayRouter:
    """A router: its interfaces in order, and its routes beyond the connected ones, sorted by destination.

    `towards` says which next hops lead to each leaf router; that is what routes to anything behind it are
    made of.
    """

    name: str
    interfaces: tuple[RouterInterface, ...]
    routes: tuple[UnderlayRoute, ...]
    towards: Mapping[str, tuple[NextHop, ...]]


@dataclass(frozen=True, slots=True)
class Underlay:
    """A whole underlay. `nodes` is by name, in the order of the cluster file, the rest by number."""

    type: str
    mtu_bytes: int
    nodes: Mapping[str, NodeAttachment]
    switches: tuple[str, ...]
    routers: tuple[UnderlayRouter, ...]
    links: tuple[UnderlayLink, ...]

    @property
    def is_routed(self) -> bool:
        """Whether some nodes reach each other through routers."""
        return bool(self.routers)


def next_hop_mac(underlay: Underlay, from_node: str, to_node: str) -> MacAddress:
    """Return the MAC that a node sends to for another: the peer's own on one segment, else its leaf router's.

    Raises:
        KeyError: no such node.
    """
    here, there = underlay.nodes[from_node], underlay.nodes[to_node]
    return there.mac if here.segment == there.segment else here.gateway_mac


def share_segment(underlay: Underlay, one: str, other: str) -> bool:
    """Whether two nodes reach each other without a router.

    Raises:
        KeyError: no such node.
    """
    return underlay.nodes[one].segment == underlay.nodes[other].segment


def pod_routes(
    underlay: Underlay, pod_cidrs: Mapping[str, IPNetworks]
) -> Mapping[str, tuple[UnderlayRoute, ...]]:
    """Return the routes that routers need for Pods without encapsulation: each podCIDR to its node.

    Args:
        underlay: whose routers to tell; without routers the answer is empty, as nodes then route alone.
        pod_cidrs: each node's podCIDRs, by the node's name; those of the other family than the node's
            address are left out.

    Returns:
        Routes by router, in the order of the nodes. The leaf of a node sends to the node's address; other
        routers send towards that leaf.
    """
    destinations = [
        (cidr, node)
        for node in underlay.nodes.values()
        for cidr in pod_cidrs.get(node.node, ())
        if cidr.version == node.address.version
    ]
    return {
        router.name: tuple(UnderlayRoute(cidr, _towards_node(router, node)) for cidr, node in destinations)
        for router in underlay.routers
    }


def _towards_node(router: UnderlayRouter, node: NodeAttachment) -> tuple[NextHop, ...]:
    if router.name != node.router:
        return router.towards[node.router]
    return (NextHop(router.interfaces[0].name, node.address),)
