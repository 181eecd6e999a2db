"""Topologies and encapsulations: what Kubernetes' network model says comes true on the live cluster."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from laboratory import Findings, attempt, plan_of, run_scenarios

from testbed.cluster.reach import Outcome, Reachability, answer
from testbed.cluster.state import ClusterState, PodState
from testbed.cluster.underlay import share_segment
from testbed.emulation.prober import Attempt
from testbed.inet import IPAddress, Protocol, host_at
from testbed.runner.job import ClusterPlan
from tests.combinations import COMBINATIONS, Combination, topologies_of

HAIRPIN_ADDRESS = "169.254.0.253"
UNALLOCATED = ip_address("10.96.77.77")
UNDECLARED_PORT = 9
PROTOCOLS = (Protocol.TCP, Protocol.UDP)
CASES = [(topology, each) for each in COMBINATIONS for topology in topologies_of(each)]
WIRE = {("ovs", "vxlan"): 4789, ("ovs", "geneve"): 6081, ("flannel", "vxlan"): 8472}
"""UDP ports of the tunnels, as the upstream projects have them."""
OVERHEAD_BYTES = {"vxlan": 50, "geneve": 50, "none": 0}
FLOWS = 200
NOT_OBSERVED = 1
"""The driver of Open vSwitch's ports observes by itself and is not asked here."""


class Cluster:
    """A cluster that has been built and asked everything."""

    def __init__(self, topology: str, combination: Combination, plan: ClusterPlan) -> None:
        self.topology = topology
        self.combination = combination
        self.plan = plan
        self.questions = questions(plan.state)
        self.findings = Findings()

    @property
    def state(self) -> ClusterState:
        return self.plan.state

    @property
    def is_tunnelled(self) -> bool:
        """Whether packets between the Pods of `wire` are encapsulated."""
        direct = self.combination.direct_routing and share_segment(self.plan.underlay, "node1", "node2")
        return self.combination.encapsulation != "none" and not direct

    def given(self) -> dict[str, object]:
        pair = ("default/web-1", "default/web-2")
        given: dict[str, object] = {
            "ask": self.questions,
            "apply_again": None,
            "mtu": [("default/alone", "default/web-2", 5354), ("default/alone", "default/web-3", 5353)],
            "wire": (*pair, 8081),
            "apply_to_damage": None,
            "differences": None,
        }
        return given | ({"equal_paths": (*pair, 5354, FLOWS)} if self.topology == "leaf-spine" else {})


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    topology, combination = request.param
    plan = plan_of("matrix.yaml", nodes=3, topology={"type": topology}, combination=combination)
    built = Cluster(topology, combination, plan)
    folder = tmp_path_factory.mktemp("cluster")
    built.findings = run_scenarios("connectivity", plan, built.given(), folder)
    yield built


def questions(state: ClusterState) -> list[Attempt]:
    """Every Pod to every Pod and Service, on each port and one it has not, and to nobody's addresses."""
    asked = []
    for source in sorted(state.pods):
        for target, address, protocol, port in aims(state):
            asked.append(attempt(source, target, address, protocol, port))
    return asked


def aims(state: ClusterState) -> Iterator[tuple[str, IPAddress, Protocol, int]]:
    for name, pod in sorted(state.pods.items()):
        declared = {(port.protocol, port.port) for port in pod.ports}
        for protocol, port in sorted(declared | {(each, UNDECLARED_PORT) for each in PROTOCOLS}):
            yield name, pod.addresses[0], protocol, port
    for name, service in sorted(state.services.items()):
        for address in service.cluster_ips:
            declared = {(port.protocol, port.port) for port in service.ports}
            for protocol, port in sorted(declared | {(each, UNDECLARED_PORT) for each in PROTOCOLS}):
                yield name, address, protocol, port
    unused = [host_at(node.pod_cidrs[0], 200) for node in state.nodes.values()]
    for nobody in (UNALLOCATED, *unused):
        for protocol in PROTOCOLS:
            yield "nobody", nobody, protocol, 80


def test_every_question_is_answered_as_the_network_model_says(cluster: Cluster) -> None:
    wrong = []
    answers = cluster.findings["ask"]
    assert len(answers) == len(cluster.questions) > 250
    for question, (verdict, endpoint, seen_as) in zip(cluster.questions, answers, strict=True):
        source = cluster.state.pods[question.source]
        expected = answer(
            cluster.state, source, question.address, protocol=question.protocol, port=question.port
        )
        problem = disagreement(
            expected, source, hairpin_address(cluster, source), (verdict, endpoint, seen_as)
        )
        if problem:
            aim = f"{question.target} {question.address}:{question.port}/{question.protocol}"
            wrong.append(f"{question.source} to {aim}: {problem} ({expected.reason})")
    assert wrong == []


def hairpin_address(cluster: Cluster, source: PodState) -> str:
    """What a Pod sees itself as that reaches itself through a Service: who answers for the way back."""
    if cluster.combination.proxy == "ovs":
        return HAIRPIN_ADDRESS
    return str(cluster.plan.intent.nodes[source.node].gateway_addresses[0])  # masquerade, out of the bridge


def disagreement(expected: Reachability, source: PodState, hairpin: str, got: tuple[str, str, str]) -> str:
    """Return how a live answer contradicts the oracle, "" if it does not."""
    verdict, endpoint, seen_as = got
    listening = [delivery for delivery in expected.deliveries if delivery.listens]
    assert len(listening) in {0, len(expected.deliveries)}, (
        "the manifests leave open whether somebody listens"
    )
    if expected.outcome is Outcome.DROPPED:
        return "" if verdict == "blocked" else f"{verdict} instead of blocked"
    if expected.outcome is Outcome.REJECTED or not listening:
        return "" if verdict == "refused" else f"{verdict} instead of refused"
    by_pod = {delivery.pod: delivery for delivery in listening}
    if verdict != "allowed" or endpoint not in by_pod:
        return f"{verdict} by '{endpoint}' instead of allowed by one of {sorted(by_pod)}"
    true_address = hairpin if by_pod[endpoint].is_source_translated else str(source.addresses[0])
    return "" if seen_as == true_address else f"{endpoint} saw {seen_as} instead of {true_address}"


def test_the_questions_cover_every_outcome(cluster: Cluster) -> None:
    expected = [
        answer(
            cluster.state,
            cluster.state.pods[each.source],
            each.address,
            protocol=each.protocol,
            port=each.port,
        )
        for each in cluster.questions
    ]
    served = cluster.combination.proxy != "none"
    rejected = {Outcome.REJECTED} if served else set()
    assert {each.outcome for each in expected} == {Outcome.DELIVERED, Outcome.DROPPED, *rejected}
    hairpins = [each for each in expected for end in each.deliveries if end.is_source_translated]
    assert len(hairpins) >= (4 if served else 0)


def test_nodes_hold_exactly_what_they_should(cluster: Cluster) -> None:
    differences = cluster.findings["differences"]
    assert differences == {name: [] for name in cluster.state.nodes}


def test_applying_a_program_twice_changes_nothing(cluster: Cluster) -> None:
    held = cluster.findings["apply_again"]
    assert len(held["before"]) == len(cluster.state.nodes)
    assert held["after"] == held["before"]


def test_applying_a_program_mends_what_was_damaged(cluster: Cluster) -> None:
    held = cluster.findings["apply_to_damage"]
    for node, before in held["before"].items():
        assert len(held["taken"][node]) >= 2
        assert len(held["damaged"][node]) >= len(held["taken"][node]) - NOT_OBSERVED
        for kind in ("routes", "neighbours", "fdb", "rules", "ports"):
            assert held["after"][node].get(kind) == before.get(kind), kind


def test_a_packet_of_the_mtu_passes_and_a_larger_one_is_refused_at_once(cluster: Cluster) -> None:
    size = 1500 - OVERHEAD_BYTES[cluster.combination.encapsulation]
    servers = ("default/web-2", "default/web-3")
    for found, server in zip(cluster.findings["mtu"], servers, strict=True):
        assert found["interface"] == size
        assert found["exact"]["status"] == 0, found["exact"]
        assert "3 received" in found["exact"]["stdout"]
        assert found["larger"]["status"] != 0
        assert "message too long" in (found["larger"]["stderr"] + found["larger"]["stdout"]).lower()
        assert found["datagram"] == server
        assert found["larger_datagram"] == "EMSGSIZE"


def test_the_wire_carries_what_was_asked_for(cluster: Cluster) -> None:
    outcome, *frames = cluster.findings["wire"]
    assert outcome["verdict"] == "allowed"
    if len(cluster.state.nodes) == 1:
        assert frames == []  # nothing leaves the node
        return
    pods = {str(cluster.state.pods[name].addresses[0]) for name in ("default/web-1", "default/web-2")}
    nodes = {str(cluster.state.nodes[name].addresses[0]) for name in ("node1", "node2")}
    between = [
        frame for frame in frames if {innermost(frame).get("src"), innermost(frame).get("dst")} == pods
    ]
    assert {innermost(frame)["protocol"] for frame in between} == {1, 6}  # ping, TCP
    if not cluster.is_tunnelled:
        assert [frame for frame in between if "tunnel" in frame] == []
        assert max(frame["length"] for frame in between) == cluster.state.network.mtu_bytes
        return
    assert max(frame["length"] for frame in between) == 1500  # the MTU of the underlay, filled
    kind = cluster.combination.encapsulation
    assert {(frame.get("tunnel"), frame.get("key")) for frame in between} == {(kind, 1)}
    assert {frame["dst_port"] for frame in between} == {WIRE[cluster.combination.plugin, kind]}
    assert {(frame["src"], frame["dst"]) for frame in between} == {
        (a, b) for a in nodes for b in nodes if a != b
    }


def innermost(frame: dict[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = frame.get("inner", frame)
    return inner


def test_flows_between_leaves_use_both_spines(cluster: Cluster) -> None:
    if cluster.topology != "leaf-spine":
        assert cluster.plan.underlay.routers == ()
        return
    found = cluster.findings["equal_paths"]
    assert found["answered"] == FLOWS
    assert len(found["sent"]) == 2
    assert min(found["sent"].values()) > sum(found["sent"].values()) / 4, found["sent"]
