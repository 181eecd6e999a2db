"""The flannel plugin's program of a node, line by line: by tunnel, by host-gw, and by both at once."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.pipeline.forwarding import GATEWAY_MAC_KIND
from testbed.cluster.build import build_cluster
from testbed.cluster.underlay_plan import plan_underlay
from testbed.cluster.wiring import NODE_UPLINK_MAC_KIND, ROUTER_MAC_KIND
from testbed.dataplanes.iptables import IptablesChain, IptablesRule
from testbed.dataplanes.linux import PodInterface
from testbed.dataplanes.network import flannel
from testbed.dataplanes.program import NodeProgram
from testbed.dataplanes.registry import dataplane
from testbed.inet import mac_of
from testbed.intent_from_cluster import compile_intent
from testbed.spec.cluster import ClusterSpec
from testbed.spec.load import parse_manifests

MASQ = '-m comment --comment "flanneld masq"'
FORWARD = '-m comment --comment "flanneld forward"'
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web"},
    "spec": {"nodeName": "node1", "containers": [{"name": "main", "image": "echo"}]},
}


def programs(nodes: int = 3, topology: str = "single", **network: Any) -> dict[str, NodeProgram]:
    """Render a cluster with one Pod, on node1, and no service proxy."""
    keys = {"network": {"plugin": "flannel", **network}, "topology": {"type": topology}, "nodes": nodes}
    spec = ClusterSpec.model_validate({**keys, "serviceProxy": {"mode": "none"}})
    state = build_cluster(spec, parse_manifests([POD]).objects)
    intent = compile_intent(state, plan_underlay(spec.topology, [node.name for node in spec.nodes]))
    plugin = dataplane("flannel", "none")
    return {name: plugin.render(intent.for_node(name)) for name in intent.nodes}


def owned(program: NodeProgram, owner: str) -> list[str]:
    return [line for thing in program.owners[owner] for line in thing.text().splitlines()]


def without_iptables(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("iptables")]


def iptables_of(own: str, cluster: str = "10.244.0.0/16") -> list[str]:
    chain, forward = "iptables -t nat -A FLANNEL-POSTRTG", "iptables -t filter -A FLANNEL-FWD"
    return [
        "iptables -t nat -N FLANNEL-POSTRTG",
        f"{chain} -m mark --mark 0x4000/0x4000 {MASQ} -j RETURN",
        f"{chain} -s {own} -d {cluster} {MASQ} -j RETURN",
        f"{chain} -s {cluster} -d {own} {MASQ} -j RETURN",
        f"{chain} ! -s {cluster} -d {own} {MASQ} -j RETURN",
        f"{chain} -s {cluster} ! -d 224.0.0.0/4 {MASQ} -j MASQUERADE --random-fully",
        f"{chain} ! -s {cluster} -d {cluster} {MASQ} -j MASQUERADE --random-fully",
        f"iptables -t nat -A POSTROUTING {MASQ} -j FLANNEL-POSTRTG",
        "iptables -t filter -N FLANNEL-FWD",
        f"{forward} -s {cluster} {FORWARD} -j ACCEPT",
        f"{forward} -d {cluster} {FORWARD} -j ACCEPT",
        f"iptables -t filter -A FORWARD {FORWARD} -j FLANNEL-FWD",
    ]


class TestVxlan:
    def test_the_whole_program_of_a_node(self) -> None:
        program = programs(backend="vxlan")["node1"]
        assert list(program.owners) == ["node", "Node/node2", "Node/node3", "Pod/default/web"]
        assert owned(program, "node") == [
            "sysctl net/ipv4/ip_forward=1",
            "link add cni0 address 0a:58:0a:f4:00:01 type bridge",
            "link set cni0 mtu 1450 up",
            "addr replace 10.244.0.1/24 dev cni0",
            "link add flannel.1 mtu 1450 address 02:05:00:00:00:01"
            " type vxlan id 1 dev n1-eth0 local 172.20.0.1 dstport 8472 nolearning",
            "link set flannel.1 up",
            "addr replace 10.244.0.0/32 dev flannel.1",
            *iptables_of("10.244.0.0/24"),
        ]
        assert owned(program, "Node/node2") == [
            "neigh replace 10.244.1.0 lladdr 02:05:00:00:00:02 dev flannel.1 nud permanent",
            "fdb replace 02:05:00:00:00:02 dev flannel.1 dst 172.20.0.2 self permanent",
            "route replace 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink",
        ]
        assert owned(program, "Node/node3") == [
            "neigh replace 10.244.2.0 lladdr 02:05:00:00:00:03 dev flannel.1 nud permanent",
            "fdb replace 02:05:00:00:00:03 dev flannel.1 dst 172.20.0.3 self permanent",
            "route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
        ]
        assert owned(program, "Pod/default/web") == [
            "pod default/web: link set eth0 up; addr add 10.244.0.2/24 dev eth0;"
            " route add default via 10.244.0.1 dev eth0 onlink;"
            " route add 10.244.0.0/16 via 10.244.0.1 dev eth0",
            "link set veth82b3ade9 master cni0",
            "link set veth82b3ade9 type bridge_slave hairpin on",
        ]

    def test_the_last_node_is_told_of_the_others(self) -> None:
        program = programs(backend="vxlan")["node3"]
        assert owned(program, "node") == [
            "sysctl net/ipv4/ip_forward=1",
            "link add cni0 address 0a:58:0a:f4:02:01 type bridge",
            "link set cni0 mtu 1450 up",
            "addr replace 10.244.2.1/24 dev cni0",
            "link add flannel.1 mtu 1450 address 02:05:00:00:00:03"
            " type vxlan id 1 dev n3-eth0 local 172.20.0.3 dstport 8472 nolearning",
            "link set flannel.1 up",
            "addr replace 10.244.2.0/32 dev flannel.1",
            *iptables_of("10.244.2.0/24"),
        ]
        assert set(program.owners) == {"node", "Node/node1", "Node/node2"}

    def test_it_is_the_default(self) -> None:
        assert programs() == programs(backend="vxlan")

    def test_what_one_node_tells_a_neighbour_is_what_the_other_has(self) -> None:
        every = programs(nodes=5)
        links = {name: owned(program, "node") for name, program in every.items()}
        for name, program in every.items():
            for peer in every.keys() - {name}:
                _, _, address, _, mac, *_ = owned(program, f"Node/{peer}")[0].split()
                assert f"addr replace {address}/32 dev flannel.1" in links[peer]
                assert any(f"link add flannel.1 mtu 1450 address {mac} " in line for line in links[peer])


class TestHostGateway:
    def test_the_program_of_a_node(self) -> None:
        program = programs(topology="linear", backend="host-gw")["node2"]
        assert owned(program, "node") == [
            "sysctl net/ipv4/ip_forward=1",
            "link add cni0 address 0a:58:0a:f4:01:01 type bridge",
            "link set cni0 mtu 1500 up",
            "addr replace 10.244.1.1/24 dev cni0",
            *iptables_of("10.244.1.0/24"),
        ]
        assert owned(program, "Node/node1") == ["route replace 10.244.0.0/24 via 172.20.0.1 dev n2-eth0"]
        assert owned(program, "Node/node3") == ["route replace 10.244.2.0/24 via 172.20.0.3 dev n2-eth0"]

    def test_pods_are_given_the_same_as_by_tunnel(self) -> None:
        ways = [programs(backend=backend)["node1"] for backend in ("host-gw", "vxlan")]
        assert ways[0].owners["Pod/default/web"] == ways[1].owners["Pod/default/web"]


class TestDirectRouting:
    """Four nodes on two leaves, round robin: node1 and node3, node2 and node4."""

    @pytest.fixture
    def node1(self) -> NodeProgram:
        return programs(nodes=4, topology="leaf-spine", backend="vxlan", directRouting=True)["node1"]

    def test_the_node_itself_is_as_with_a_tunnel_alone(self, node1: NodeProgram) -> None:
        assert without_iptables(owned(node1, "node")) == [
            "sysctl net/ipv4/ip_forward=1",
            "link add cni0 address 0a:58:0a:f4:00:01 type bridge",
            "link set cni0 mtu 1450 up",
            "addr replace 10.244.0.1/24 dev cni0",
            "link add flannel.1 mtu 1450 address 02:05:00:00:00:01"
            " type vxlan id 1 dev n1-eth0 local 172.20.1.1 dstport 8472 nolearning",
            "link set flannel.1 up",
            "addr replace 10.244.0.0/32 dev flannel.1",
        ]

    def test_on_its_own_leaf_by_the_underlay(self, node1: NodeProgram) -> None:
        assert owned(node1, "Node/node3") == ["route replace 10.244.2.0/24 via 172.20.1.2 dev n1-eth0"]

    @pytest.mark.parametrize(("peer", "number", "address"), [("node2", 2, "2.1"), ("node4", 4, "2.2")])
    def test_beyond_it_by_tunnel(self, peer: str, number: int, address: str, node1: NodeProgram) -> None:
        block, mac = f"10.244.{number - 1}.0", f"02:05:00:00:00:0{number}"
        assert owned(node1, f"Node/{peer}") == [
            f"neigh replace {block} lladdr {mac} dev flannel.1 nud permanent",
            f"fdb replace {mac} dev flannel.1 dst 172.20.{address} self permanent",
            f"route replace {block}/24 via {block} dev flannel.1 onlink",
        ]

    def test_without_it_all_go_by_tunnel(self) -> None:
        program = programs(nodes=4, topology="leaf-spine", backend="vxlan")["node1"]
        assert {len(owned(program, f"Node/node{number}")) for number in (2, 3, 4)} == {3}


def test_pods_ask_for_their_neighbours() -> None:
    interface = programs()["node1"].owners["Pod/default/web"][0]
    assert isinstance(interface, PodInterface)
    assert interface.gateway_mac == ""


def test_its_jumps_stand_behind_those_of_a_service_proxy() -> None:
    jumps = [thing for thing in programs()["node1"].objects() if isinstance(thing, IptablesRule)]
    assert [(jump.table, jump.chain) for jump in jumps] == [("nat", "POSTROUTING"), ("filter", "FORWARD")]
    others = [IptablesRule(jump.table, jump.chain, "-j KUBE-ANY", rank=20, place="z") for jump in jumps]
    assert all(other.order < jump.order for other, jump in zip(others, jumps, strict=True))


def test_every_chain_is_jumped_to() -> None:
    things = programs()["node1"].objects()
    chains = {(thing.table, thing.name) for thing in things if isinstance(thing, IptablesChain)}
    jumps = {
        (thing.table, thing.rule.split(" -j ")[1]) for thing in things if isinstance(thing, IptablesRule)
    }
    assert chains == jumps


def test_no_two_objects_of_a_node_are_one() -> None:
    for program in programs(nodes=4, topology="leaf-spine", directRouting=True).values():
        keys = [thing.key for thing in program.objects()]
        assert len(keys) == len(set(keys))


def test_a_vtep_shares_its_mac_with_nothing() -> None:
    taken = {mac_of(kind, 1) for kind in (NODE_UPLINK_MAC_KIND, ROUTER_MAC_KIND, GATEWAY_MAC_KIND, 4)}
    assert flannel.vtep_mac(1) not in taken
