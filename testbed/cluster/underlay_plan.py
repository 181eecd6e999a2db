"""Laying out an underlay: a topology's type and numbers to switches, routers, links and addresses.

Owns the choice by type and the types that are one segment of switches: `single`, `linear` and `tree`, where
node i has the i-th address of nodeCIDR and nodes hang on the access switches round robin. `leaf_spine.py` has
the routed type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.cluster.leaf_spine import plan_leaf_spine
from testbed.cluster.underlay import LinkKind, Underlay
from testbed.cluster.wiring import Segment, Wiring, attach_node, refuse_small_node_cidr, shape_of
from testbed.spec.topology import TopologySpec


def plan_underlay(topology: TopologySpec, node_names: Sequence[str]) -> Underlay:
    """Lay out the underlay of a topology for these nodes, in the order of the cluster file.

    Raises:
        CapacityError: nodeCIDR is too small.
    """
    if topology.type == "leaf-spine":
        return plan_leaf_spine(topology, node_names)
    return _plan_segment(topology, node_names)


@dataclass(frozen=True, slots=True)
class _Switches:
    """Switches by number: how many, the (child, parent) pairs that are linked, those that nodes hang on."""

    count: int
    pairs: tuple[tuple[int, int], ...]
    access: Sequence[int]


def _plan_segment(topology: TopologySpec, node_names: Sequence[str]) -> Underlay:
    subnet = topology.node_cidr
    room = subnet.num_addresses - 2
    if len(node_names) > room:
        raise refuse_small_node_cidr(subnet, f"it has {room} addresses for {len(node_names)} nodes")
    switches = (
        _tree(topology.depth, topology.fanout) if topology.type == "tree" else _chain(topology, node_names)
    )
    wiring = Wiring()
    for child, parent in switches.pairs:
        ends = wiring.switch_end(f"s{child}"), wiring.switch_end(f"s{parent}")
        wiring.join(*ends, LinkKind.FABRIC, shape_of(topology.fabric_link))
    nodes = {}
    for index, name in enumerate(node_names, start=1):
        switch = switches.access[(index - 1) % len(switches.access)]
        segment = Segment(f"s{switch}", subnet)
        nodes[name] = attach_node(
            wiring, (index, name), segment, offset=index, shape=shape_of(topology.node_link)
        )
    return Underlay(
        type=topology.type,
        mtu_bytes=topology.mtu,
        nodes=nodes,
        switches=tuple(f"s{number}" for number in range(1, switches.count + 1)),
        routers=(),
        links=tuple(wiring.links),
    )


def _chain(topology: TopologySpec, node_names: Sequence[str]) -> _Switches:
    """One switch (`single`) or a chain of them (`linear`; one a node unless the file says otherwise)."""
    total = (topology.switches or len(node_names)) if topology.type == "linear" else 1
    return _Switches(total, tuple((child, child - 1) for child in range(2, total + 1)), range(1, total + 1))


def _tree(depth: int, fanout: int) -> _Switches:
    """A tree of `depth` levels of switches, numbered level by level; nodes hang on the lowest."""
    total = sum(fanout**level for level in range(depth))
    pairs = tuple((child, (child - 2) // fanout + 1) for child in range(2, total + 1))
    return _Switches(total, pairs, range(total - fanout ** (depth - 1) + 1, total + 1))
