"""Plugging devices together while an underlay is laid out: numbers interfaces and MACs, attaches nodes.

Owns what every topology type needs; the types themselves are in `underlay_plan.py` and `leaf_spine.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from testbed.cluster.underlay import (
    LinkEnd,
    LinkKind,
    LinkShape,
    NodeAttachment,
    RouterInterface,
    UnderlayLink,
)
from testbed.errors import CapacityError
from testbed.inet import IPAddress, IPNetwork, MacAddress, host_at, mac_of
from testbed.spec.topology import LinkSpec

NODE_UPLINK_MAC_KIND = 1
"""Kind, for `mac_of`, of nodes' uplinks; the number is the node's index."""

ROUTER_MAC_KIND = 2
"""Kind, for `mac_of`, of router interfaces; the number runs through the underlay from 1."""


_NO_MAC = MacAddress("")


class Wiring:
    """Links so far. A device's interfaces are numbered in the order in which it is joined."""

    def __init__(self) -> None:
        """Begin without links."""
        self.links: list[UnderlayLink] = []
        self._used: Counter[str] = Counter()
        self._router_macs = 0

    def join(self, a: LinkEnd, b: LinkEnd, kind: LinkKind, shape: LinkShape) -> None:
        """Add a link; `a` is the end nearer to the nodes."""
        self.links.append(UnderlayLink(a, b, kind, shape))

    def host_end(self, device: str) -> LinkEnd:
        """Return a new interface of a node or router; the first is eth0."""
        return self._end(device, first=0)

    def switch_end(self, device: str) -> LinkEnd:
        """Return a new interface of a switch; the first is eth1."""
        return self._end(device, first=1)

    def router_interface(self, end: LinkEnd, address: IPAddress, prefix_length: int) -> RouterInterface:
        """Give a router's end of a link its address and the next router MAC."""
        self._router_macs += 1
        mac = mac_of(ROUTER_MAC_KIND, self._router_macs)
        return RouterInterface(end.interface, mac, address, prefix_length)

    def _end(self, device: str, first: int) -> LinkEnd:
        number = first + self._used[device]
        self._used[device] += 1
        return LinkEnd(device, f"{device}-eth{number}")


@dataclass(frozen=True, slots=True)
class Segment:
    """Where nodes are attached: a switch, its subnet and, behind a router, the way out."""

    switch: str
    subnet: IPNetwork
    router: str = ""
    gateway: IPAddress | None = None
    gateway_mac: MacAddress = _NO_MAC


def attach_node(
    wiring: Wiring, node: tuple[int, str], segment: Segment, *, offset: int, shape: LinkShape
) -> NodeAttachment:
    """Join a node, given as (index, name), to a segment under its `offset`-th address."""
    index, name = node
    uplink = wiring.host_end(f"n{index}")
    wiring.join(uplink, wiring.switch_end(segment.switch), LinkKind.NODE, shape)
    return NodeAttachment(
        node=name,
        index=index,
        device=uplink.device,
        interface=uplink.interface,
        mac=mac_of(NODE_UPLINK_MAC_KIND, index),
        address=host_at(segment.subnet, offset),
        segment=segment.subnet,
        attached_to=segment.switch,
        router=segment.router,
        gateway=segment.gateway,
        gateway_mac=segment.gateway_mac,
    )


def shape_of(link: LinkSpec) -> LinkShape:
    """Return the shape that the topology file gives a kind of link."""
    return LinkShape(
        bandwidth_bps=link.bandwidth, delay_ns=link.delay, loss=link.loss, queue_packets=link.queue
    )


def refuse_small_node_cidr(node_cidr: IPNetwork, needs: str) -> CapacityError:
    """Return the error of a nodeCIDR that cannot hold the topology."""
    return CapacityError(
        f"nodeCIDR {node_cidr} is too small: {needs}",
        where="spec.cluster.topology.nodeCIDR",
        fix="widen nodeCIDR, or use fewer nodes, leaves or spines",
    )
