"""Underlays: who hangs where, under which address, and that every route leads where it says."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.cluster.underlay import LinkKind, Underlay, UnderlayRouter, next_hop_mac, pod_routes
from testbed.cluster.underlay_plan import plan_underlay
from testbed.errors import CapacityError
from testbed.inet import IPAddress
from testbed.spec.topology import TopologySpec


def topology(kind: str = "single", **keys) -> TopologySpec:
    return TopologySpec.model_validate({"type": kind, **keys})


def plan(kind: str, nodes: int, **keys) -> Underlay:
    return plan_underlay(topology(kind, **keys), [f"node{number}" for number in range(1, nodes + 1)])


def pairs(underlay: Underlay) -> list[str]:
    return [f"{link.a.interface} {link.b.interface}" for link in underlay.links]


def test_single() -> None:
    underlay = plan("single", 2)
    assert underlay.switches == ("s1",)
    assert pairs(underlay) == ["n1-eth0 s1-eth1", "n2-eth0 s1-eth2"]
    first = underlay.nodes["node1"]
    assert (str(first.address), first.prefix_length, first.gateway) == ("172.20.0.1", 16, None)
    assert first.mac == "02:01:00:00:00:01"
    assert not underlay.is_routed


def test_linear_has_a_switch_a_node_unless_told_otherwise() -> None:
    assert pairs(plan("linear", 3)) == [
        "s2-eth1 s1-eth1", "s3-eth1 s2-eth2", "n1-eth0 s1-eth2", "n2-eth0 s2-eth3", "n3-eth0 s3-eth2",
    ]  # fmt: skip
    two = plan("linear", 3, switches=2)
    assert [node.attached_to for node in two.nodes.values()] == ["s1", "s2", "s1"]


def test_tree() -> None:
    underlay = plan("tree", 5, depth=3, fanout=2)
    assert underlay.switches == tuple(f"s{number}" for number in range(1, 8))
    fabric = [(link.a.device, link.b.device) for link in underlay.links if link.kind is LinkKind.FABRIC]
    assert fabric == [("s2", "s1"), ("s3", "s1"), ("s4", "s2"), ("s5", "s2"), ("s6", "s3"), ("s7", "s3")]
    assert [node.attached_to for node in underlay.nodes.values()] == ["s4", "s5", "s6", "s7", "s4"]


def test_links_are_shaped_by_kind() -> None:
    underlay = plan("linear", 2, nodeLink={"bandwidth": "1Gbit"}, fabricLink={"delay": "5ms", "loss": "1%"})
    fabric, first, _ = underlay.links
    assert (fabric.shape.delay_ns, fabric.shape.loss, fabric.shape.bandwidth_bps) == (5_000_000, 0.01, None)
    assert (first.shape.bandwidth_bps, first.shape.delay_ns) == (10**9, None)
    assert all(link.shape.is_plain for link in plan("single", 2).links)


def test_leaf_spine() -> None:
    underlay = plan("leaf-spine", 3, leaves=2, spines=2)
    assert [router.name for router in underlay.routers] == ["leaf1", "leaf2", "spine1", "spine2"]
    assert {name: (str(node.address), str(node.gateway)) for name, node in underlay.nodes.items()} == {
        "node1": ("172.20.1.1", "172.20.1.254"),
        "node2": ("172.20.2.1", "172.20.2.254"),
        "node3": ("172.20.1.2", "172.20.1.254"),
    }
    leaf, spine = underlay.routers[0], underlay.routers[2]
    assert [f"{i.name} {i.address}/{i.prefix_length}" for i in leaf.interfaces] == [
        "leaf1-eth0 172.20.1.254/24", "leaf1-eth1 172.20.255.248/31", "leaf1-eth2 172.20.255.250/31",
    ]  # fmt: skip
    assert [(str(route.destination), len(route.next_hops)) for route in leaf.routes] == [("172.20.2.0/24", 2)]
    assert [(str(route.destination), len(route.next_hops)) for route in spine.routes] == [
        ("172.20.1.0/24", 1), ("172.20.2.0/24", 1),
    ]  # fmt: skip


def test_next_hop_macs() -> None:
    flat, routed = plan("single", 2), plan("leaf-spine", 3)
    assert next_hop_mac(flat, "node1", "node2") == flat.nodes["node2"].mac
    assert next_hop_mac(routed, "node1", "node3") == routed.nodes["node3"].mac
    assert next_hop_mac(routed, "node1", "node2") == routed.routers[0].interfaces[0].mac
    assert next_hop_mac(routed, "node2", "node1") == routed.routers[1].interfaces[0].mac


def test_flat_underlays_need_no_pod_routes() -> None:
    assert pod_routes(plan("tree", 2), {"node1": (ip_network("10.244.0.0/24"),)}) == {}


@pytest.mark.parametrize(
    ("kind", "nodes", "keys", "why"),
    [
        ("single", 7, {"nodeCIDR": "192.0.2.0/29"}, "it has 6 addresses for 7 nodes"),
        ("leaf-spine", 2, {"nodeCIDR": "172.20.0.0/23"}, "need 4 subnets of /24, it has 2"),
        ("leaf-spine", 2, {"nodeCIDR": "172.20.0.0/25"}, "it has 0"),
        ("leaf-spine", 254, {"leaves": 1}, "has 253 addresses for 254 nodes"),
    ],
)
def test_node_cidr_too_small(kind: str, nodes: int, keys, why: str) -> None:
    with pytest.raises(CapacityError, match=why) as caught:
        plan(kind, nodes, **keys)
    assert caught.value.where == "spec.cluster.topology.nodeCIDR"


def ends_at(underlay: Underlay, start: UnderlayRouter, destination: IPAddress, pods) -> set[str]:
    """Follow every next hop from a router; return the addresses of the last hops' targets."""
    owners = {i.address: router for router in underlay.routers for i in router.interfaces}
    arrived, todo, seen = set(), [start], set()
    while todo:
        router = todo.pop()
        if router.name in seen:
            continue
        seen.add(router.name)
        routes = [*router.routes, *pods[router.name]]
        hops = next((route.next_hops for route in routes if destination in route.destination), None)
        if hops is None:
            arrived.add(f"nobody at {router.name}")
            continue
        for hop in hops:
            assert hop.interface in [i.name for i in router.interfaces]
            if hop.address in owners:
                todo.append(owners[hop.address])
            else:
                arrived.add(str(hop.address))
    return arrived


@settings(max_examples=30, deadline=None)
@given(nodes=st.integers(1, 12), leaves=st.integers(1, 5), spines=st.integers(1, 4), ipv6=st.booleans())
def test_every_pod_route_ends_at_its_node(nodes: int, leaves: int, spines: int, ipv6: bool) -> None:
    names = [f"node{number}" for number in range(1, nodes + 1)]
    shape = topology("leaf-spine", leaves=leaves, spines=spines)
    if ipv6:
        shape = shape.model_copy(update={"node_cidr": ip_network("fd00:20::/48")})
    underlay = plan_underlay(shape, names)
    cidr = "fd00:10:0:{}::/64" if ipv6 else "10.244.{}.0/24"
    blocks = {name: (ip_network(cidr.format(place)),) for place, name in enumerate(names)}
    pods = pod_routes(underlay, blocks)
    for name, node in underlay.nodes.items():
        for router in underlay.routers:
            assert ends_at(underlay, router, blocks[name][0][5], pods) == {str(node.address)}
    every = [i for router in underlay.routers for i in router.interfaces]
    addresses = [i.address for i in every] + [node.address for node in underlay.nodes.values()]
    macs = [i.mac for i in every] + [node.mac for node in underlay.nodes.values()]
    interfaces = [end.interface for link in underlay.links for end in (link.a, link.b)]
    for unique in (addresses, macs, interfaces):
        assert len(unique) == len(set(unique))
    assert all(len(interface) <= 15 for interface in interfaces)
    assert plan_underlay(shape, names) == underlay
