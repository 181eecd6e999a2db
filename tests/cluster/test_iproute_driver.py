"""The driver iproute on the real kernel: in force, applied twice, mended, changed, and in use."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path
from typing import Any

import pytest
from laboratory import Findings

from testbed.cluster.build import build_cluster
from testbed.cluster.underlay_plan import plan_underlay
from testbed.emulation.sandbox import run_in_sandbox
from testbed.errors import TestbedError
from testbed.intent import ClusterIntent
from testbed.intent_from_cluster import compile_intent
from testbed.spec.cluster import ClusterSpec
from testbed.spec.load import parse_manifests

PODS = {"a1": "node1", "a2": "node1", "b1": "node2", "b2": "node2"}
NODE_ADDRESSES = ("172.20.0.1", "172.20.0.2")
UPLINK_MACS = ("02:01:00:00:00:01", "02:01:00:00:00:02")
VTEP_MACS = ("02:05:00:00:00:01", "02:05:00:00:00:02")
POD_ADDRESSES = {"node1": ("10.244.0.2", "10.244.0.3"), "node2": ("10.244.1.2", "10.244.1.3")}
TCP = 6
PEER = {"neighbour flannel.1 10.244.1.0", f"fdb flannel.1 {VTEP_MACS[1]}", "route 10.244.1.0/24"}
ON_VTEP = {*PEER, "address flannel.1 10.244.0.0/32"}
ADD_VTEP = "ip link add flannel.1 type vxlan dev n1-eth0 local 172.20.0.1 dstport 8472"


def intent_of(backend: str) -> ClusterIntent:
    keys = {"network": {"plugin": "flannel", "backend": backend}, "serviceProxy": {"mode": "none"}}
    spec = ClusterSpec.model_validate({**keys, "topology": {"type": "single"}, "nodes": 2})
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"nodeName": node, "containers": [{"name": "main", "image": "echo"}]},
        }
        for name, node in PODS.items()
    ]
    state = build_cluster(spec, parse_manifests(pods).objects)
    return compile_intent(state, plan_underlay(spec.topology, [node.name for node in spec.nodes]))


def ports() -> list[str]:
    return sorted(thing.interface for key, thing in intent_of("vxlan").local["node1"].items() if "Pod" in key)


def run_scenarios(backend: str, given: dict[str, list[Any]], folder: Path) -> Findings:
    findings = Findings()

    def take(event: dict[str, Any]) -> None:
        findings.found[event["scenario"]] = event["value"]

    job = {"pickle": base64.b64encode(pickle.dumps((intent_of(backend), given))).decode()}
    try:
        run_in_sandbox("scenarios.iproute", job, take, folder / "sandbox.log")
    except TestbedError as error:
        findings.failure = str(error)
    return findings


def damages() -> dict[str, tuple[list[str], set[str]]]:
    """Return, by name, commands that damage node1 and the keys of what is then missing or different."""
    port, other = ports()
    neighbour = f"ip neigh replace 10.244.1.0 dev flannel.1 lladdr {VTEP_MACS[1]}"
    in_bridge = {"link cni0", "address cni0 10.244.0.1/24", f"bridge port {port}", f"bridge port {other}"}
    entry = f"fdb flannel.1 {VTEP_MACS[1]}"
    vtep = {"link flannel.1", *ON_VTEP}
    return {
        "no forwarding": (["sysctl -q -w net.ipv4.ip_forward=0"], {"sysctl net/ipv4/ip_forward"}),
        "uplink's MTU": (["ip link set n1-eth0 mtu 1500"], {"link n1-eth0"}),
        "no bridge": (["ip link del cni0"], in_bridge),
        "bridge down": (["ip link set cni0 down"], {"link cni0"}),
        "bridge's MTU": (["ip link set cni0 mtu 1300"], {"link cni0"}),
        "bridge's MAC": (["ip link set cni0 address 02:66:66:66:66:66"], {"link cni0"}),
        "no VTEP": (["ip link del flannel.1"], vtep),
        "another VNI": (["ip link del flannel.1", f"{ADD_VTEP} id 7 nolearning"], vtep),
        "VTEP that learns": (["ip link set flannel.1 type vxlan learning"], {"link flannel.1"}),
        "VTEP from another address": (
            ["ip addr add 172.20.0.9/16 dev n1-eth0", "ip link set flannel.1 type vxlan local 172.20.0.9"],
            {"link flannel.1"},
        ),
        "bridge for a VTEP": (["ip link del flannel.1", "ip link add flannel.1 type bridge"], vtep),
        "VTEP down": (
            ["ip link set flannel.1 down"],
            {"link flannel.1", "route 10.244.1.0/24", "neighbour flannel.1 10.244.1.0"},
        ),
        "VTEP's MAC": (
            ["ip link set flannel.1 address 02:66:66:66:66:66"],
            {"link flannel.1", "neighbour flannel.1 10.244.1.0"},
        ),
        "VTEP's MAC and a neighbour told again": (
            ["ip link set flannel.1 address 02:66:66:66:66:66", f"{neighbour} nud permanent"],
            {"link flannel.1"},
        ),
        "no port": ([f"ip link set {port} nomaster"], {f"bridge port {port}"}),
        "no hairpin": (
            [f"ip link set {port} type bridge_slave hairpin off"],
            {f"bridge port {port}"},
        ),
        "port of another bridge": (
            ["ip link add other0 type bridge", f"ip link set {other} master other0"],
            {f"bridge port {other}"},
        ),
        "no gateway address": (
            ["ip addr del 10.244.0.1/24 dev cni0"],
            {"address cni0 10.244.0.1/24"},
        ),
        "no route": (["ip route del 10.244.1.0/24"], {"route 10.244.1.0/24"}),
        "route by another gateway": (
            ["ip route replace 10.244.1.0/24 via 172.20.0.2"],
            {"route 10.244.1.0/24"},
        ),
        "route to nowhere": (["ip route replace blackhole 10.244.1.0/24"], {"route 10.244.1.0/24"}),
        "route of two hops": (
            ["ip route replace 10.244.1.0/24 nexthop via 172.20.0.2 nexthop via 172.20.0.3"],
            {"route 10.244.1.0/24"},
        ),
        "route behind a worse one": (
            ["ip route add 10.244.1.0/24 via 172.20.0.2 metric 9", "ip route del 10.244.1.0/24 metric 0"],
            {"route 10.244.1.0/24"},
        ),
        "route without its source": (
            ["ip route replace 198.51.100.0/24 dev n1-eth0"],
            {"route 198.51.100.0/24"},
        ),
        "no default route": (["ip route del default"], {"route 0.0.0.0/0"}),
        "no neighbour": (
            ["ip neigh del 10.244.1.0 dev flannel.1"],
            {"neighbour flannel.1 10.244.1.0"},
        ),
        "neighbour of another MAC": (
            ["ip neigh replace 10.244.1.0 dev flannel.1 lladdr 02:66:66:66:66:66 nud permanent"],
            {"neighbour flannel.1 10.244.1.0"},
        ),
        "neighbour that will be asked": (
            [f"{neighbour} nud reachable"],
            {"neighbour flannel.1 10.244.1.0"},
        ),
        "no FDB entry": ([f"bridge fdb del {VTEP_MACS[1]} dev flannel.1"], {entry}),
        "FDB entry to another node": (
            [f"bridge fdb replace {VTEP_MACS[1]} dev flannel.1 dst 172.20.0.7 self permanent"],
            {entry},
        ),
    }


@pytest.fixture(scope="module")
def vxlan(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    given = {
        "fresh": [],
        "again": [],
        "connections": [],
        "saved_rules": [],
        "mended": [{name: commands for name, (commands, _) in damages().items()}],
        "changes": [],
        "refused": [],
        "processes": [],
    }
    return run_scenarios("vxlan", given, tmp_path_factory.mktemp("vxlan"))


@pytest.fixture(scope="module")
def host_gw(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    given: dict[str, list[Any]] = {"fresh": [], "again": [], "connections": [], "changes": []}
    return run_scenarios("host-gw", given, tmp_path_factory.mktemp("host-gw"))


class TestInForce:
    def test_nothing_was_there(self, vxlan: Findings) -> None:
        assert {key.split()[0] for key in vxlan["fresh"]["before"]} == {
            *("sysctl", "link", "bridge", "address", "neighbour", "route", "fdb")
        }

    def test_all_is_there(self, vxlan: Findings, host_gw: Findings) -> None:
        assert vxlan["fresh"]["after"] == host_gw["fresh"]["after"] == []

    def test_the_tools_show_it(self, vxlan: Findings) -> None:
        shown = vxlan["fresh"]["shown"]
        assert shown["sysctls"] == ["net.ipv4.ip_forward = 1"]
        assert "10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink" in shown["routes"]
        assert f"10.244.1.0 dev flannel.1 lladdr {VTEP_MACS[1]} PERMANENT" in shown["neighbours"]
        assert f"{VTEP_MACS[1]} dev flannel.1 dst 172.20.0.2 self permanent" in shown["fdb"]
        addresses = [line.split()[1:4] for line in shown["addresses"]]
        assert ["cni0", "inet", "10.244.0.1/24"] in addresses
        assert ["flannel.1", "inet", "10.244.0.0/32"] in addresses
        vtep = next(line for line in shown["links"] if ": flannel.1:" in line)
        for part in (
            *("mtu 1450", VTEP_MACS[0], "vxlan id 1 local 172.20.0.1 dev n1-eth0", "dstport 8472"),
            *("nolearning", ",UP"),
        ):
            assert part in vtep
        bridge = next(line for line in shown["links"] if ": cni0:" in line)
        assert "mtu 1450" in bridge
        assert "0a:58:0a:f4:00:01" in bridge

    def test_pods_hang_on_the_bridge(self, vxlan: Findings) -> None:
        shown = " ".join(vxlan["fresh"]["shown"]["ports"])
        assert shown.count("hairpin on") == 2
        for port in ports():
            assert f" {port}@" in shown

    def test_host_gateway_makes_no_tunnel(self, host_gw: Findings) -> None:
        shown = host_gw["fresh"]["shown"]
        assert "10.244.1.0/24 via 172.20.0.2 dev n1-eth0" in shown["routes"]
        assert not [line for line in shown["links"] if "flannel" in line]
        assert shown["neighbours"] == []

    def test_applying_again_changes_nothing(self, vxlan: Findings, host_gw: Findings) -> None:
        for findings in (vxlan, host_gw):
            assert findings["again"]["before"] == findings["again"]["after"]
            assert findings["again"]["told"] == []

    def test_rules_are_as_iptables_prints_them(self, vxlan: Findings) -> None:
        rules = vxlan["saved_rules"]
        assert len(rules["rendered"]) == 10
        assert rules["rendered"] == rules["saved"]


@pytest.mark.parametrize("damage", damages())
def test_damage_is_seen_and_mended(damage: str, vxlan: Findings) -> None:
    found = vxlan["mended"][damage]
    assert set(found["missing"]) == damages()[damage][1]
    assert found["left"] == []


class TestChange:
    @pytest.mark.parametrize(
        ("step", "missing"),
        [
            ("peer removed", PEER),
            ("peer removed again, and a port", {*PEER, "bridge port"}),
            ("peer added", {"bridge port"}),
            ("port removed again", {"bridge port"}),
            ("port added", set()),
            ("VTEP removed with its peer", {*ON_VTEP, "link flannel.1"}),
            ("VTEP replaced", set()),
            ("VTEP replaced back", set()),
        ],
    )
    def test_with_a_tunnel(self, step: str, missing: set[str], vxlan: Findings) -> None:
        found = {" ".join(key.split()[:2]) if "port" in key else key for key in vxlan["changes"][step]}
        assert found == missing

    def test_with_routes_alone(self, host_gw: Findings) -> None:
        assert host_gw["changes"]["peer removed"] == ["route 10.244.1.0/24"]
        assert "route 10.244.1.0/24" in host_gw["changes"]["peer removed again, and a port"]
        assert host_gw["changes"]["port added"] == []


class TestRefused:
    def test_an_interface_that_is_not_there(self, vxlan: Findings) -> None:
        assert vxlan["refused"]["interface"].startswith(
            "CommandFailed: node1: `ip -batch -` ended with status 1"
        )
        assert 'Cannot find device "nowhere0"' in vxlan["refused"]["interface"]

    def test_a_gateway_that_cannot_be_reached(self, vxlan: Findings) -> None:
        assert "Nexthop has invalid gateway" in vxlan["refused"]["gateway"]

    def test_a_sysctl_that_the_kernel_lacks(self, vxlan: Findings) -> None:
        assert "no_such_thing" in vxlan["refused"]["sysctl"]

    def test_what_the_kernel_made_otherwise(self, vxlan: Findings) -> None:
        told = vxlan["refused"]["mtu"]
        assert told.startswith("RunFailed: node1: not in force after it was set: link add vtep9 mtu 9000")


class TestProcesses:
    def test_few_for_an_open_vswitch_node(self, vxlan: Findings) -> None:
        assert vxlan["processes"]["Open vSwitch"] == ["ip", "ip", "ip"]
        assert vxlan["processes"]["again"] == ["ip"]

    def test_few_for_a_flannel_node(self, vxlan: Findings) -> None:
        assert sorted(vxlan["processes"]["flannel"]) == [*["bridge"] * 2, *["ip"] * 3, *["sysctl"] * 3]


class TestOnTheWire:
    """Four connections between Pods and two from node1, which takes the address of the way out."""

    @pytest.mark.parametrize("backend", ["vxlan", "host-gw"])
    def test_servers_see_the_clients_own_addresses(
        self, backend: str, request: pytest.FixtureRequest
    ) -> None:
        findings = request.getfixturevalue(backend.replace("-", "_"))
        seen = [(each["as"], each["server"]) for each in findings["connections"]]
        node1 = {"vxlan": "10.244.0.0", "host-gw": "172.20.0.1"}[backend]
        clients = (*POD_ADDRESSES["node1"], node1)
        assert seen == [(client, server) for client in clients for server in POD_ADDRESSES["node2"]]

    def test_by_tunnel(self, vxlan: Findings) -> None:
        for connection in vxlan["connections"]:
            forth = [frame for frame in connection["wire"] if frame["src"] == NODE_ADDRESSES[0]]
            back = [frame for frame in connection["wire"] if frame["src"] == NODE_ADDRESSES[1]]
            assert len(forth) >= 3
            assert len(back) >= 2
            assert len(forth) + len(back) == len(connection["wire"])
            ends = [connection["as"], connection["server"]]
            for frames, pick in ((forth, (0, 1)), (back, (1, 0))):
                source, target = pick
                for frame in frames:
                    assert (frame["eth_src"], frame["eth_dst"]) == (UPLINK_MACS[source], UPLINK_MACS[target])
                    assert frame["dst"] == NODE_ADDRESSES[target]
                    assert (frame["dst_port"], frame["tunnel"], frame["key"]) == (8472, "vxlan", 1)
                    inner = frame["inner"]
                    assert (inner["eth_src"], inner["eth_dst"]) == (VTEP_MACS[source], VTEP_MACS[target])
                    assert (inner["src"], inner["dst"]) == (ends[source], ends[target])
                    assert inner["protocol"] == TCP

    def test_by_host_gateway(self, host_gw: Findings) -> None:
        for connection in host_gw["connections"]:
            ends = (connection["as"], connection["server"])
            ways = {(frame["src"], frame["dst"]) for frame in connection["wire"]}
            assert ways == {ends, ends[::-1]}
            for frame in connection["wire"]:
                assert frame["protocol"] == TCP
                assert "tunnel" not in frame
                source, target = (0, 1) if frame["src"] == ends[0] else (1, 0)
                assert (frame["eth_src"], frame["eth_dst"]) == (UPLINK_MACS[source], UPLINK_MACS[target])
