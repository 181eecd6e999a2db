"""The oracle's answers, state by state, and that the compiled intent agrees on backends."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from manifests_in_code import cluster, endpoint_slice, pod, service, state_of, workload

from testbed.cluster.build import build_cluster
from testbed.cluster.changes import set_pod_ready, set_pod_terminating
from testbed.cluster.reach import Outcome, Reachability, answer
from testbed.cluster.state import ClusterState
from testbed.cluster.underlay_plan import plan_underlay
from testbed.inet import Protocol, pod_mac
from testbed.intent import PeerNode, PodAttachment, ServiceForward
from testbed.intent_from_cluster import compile_intent, recompile_pods, recompile_services

WEB = {"app": "web"}
PORTS = ({"name": "http", "port": 80, "targetPort": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"})


def shop(**keys) -> ClusterState:
    return state_of(
        [pod("a", WEB), pod("b", WEB), pod("client"), service("web", WEB, *PORTS, clusterIP="10.96.0.20")],
        **keys,
    )


def ask(state: ClusterState, to: str, port: int = 80, protocol=Protocol.TCP, source="client") -> Reachability:
    address = state.pods[to].addresses[0] if to in state.pods else ip_address(to)
    return answer(state, state.pods[f"default/{source}"], address, protocol=protocol, port=port)


def test_pod_to_pod_whoever_listens() -> None:
    state = shop()
    listening, silent = ask(state, "default/a", 8080), ask(state, "default/a", 81)
    assert listening.outcome is silent.outcome is Outcome.DELIVERED
    assert [found.listens for found in (*listening.deliveries, *silent.deliveries)] == [True, False]
    assert not listening.deliveries[0].is_source_translated


def test_cluster_ip_offers_every_ready_endpoint() -> None:
    found = ask(shop(), "10.96.0.20")
    assert found.outcome is Outcome.DELIVERED
    assert [(one.pod, one.port, one.listens) for one in found.deliveries] == [
        ("default/a", 8080, True), ("default/b", 8080, True),
    ]  # fmt: skip
    assert not any(one.is_source_translated for one in found.deliveries)


def test_hairpin_is_translated_for_the_client_itself_alone() -> None:
    found = ask(shop(), "10.96.0.20", source="a")
    assert [(one.pod, one.is_source_translated) for one in found.deliveries] == [
        ("default/a", True), ("default/b", False),
    ]  # fmt: skip


@pytest.mark.parametrize(("port", "protocol"), [(81, Protocol.TCP), (80, Protocol.UDP), (53, Protocol.TCP)])
def test_wrong_port_of_a_cluster_ip_is_rejected(port: int, protocol: Protocol) -> None:
    assert ask(shop(), "10.96.0.20", port, protocol).outcome is Outcome.REJECTED


def test_udp_port_keeps_its_number() -> None:
    assert {one.port for one in ask(shop(), "10.96.0.20", 53, Protocol.UDP).deliveries} == {53}


def test_without_endpoints_rejected() -> None:
    state = shop()
    for name in "ab":
        state = set_pod_ready(state, f"default/{name}", False).state
    assert ask(state, "10.96.0.20").outcome is Outcome.REJECTED


def test_terminating_endpoints_serve_while_nobody_is_ready() -> None:
    state = set_pod_terminating(shop(), "default/a").state
    assert [one.pod for one in ask(state, "10.96.0.20").deliveries] == ["default/b"]
    state = set_pod_ready(state, "default/b", False).state
    assert [one.pod for one in ask(state, "10.96.0.20").deliveries] == ["default/a"]


@pytest.mark.parametrize(
    ("address", "outcome"),
    [
        ("10.96.0.21", Outcome.DROPPED),
        ("10.96.0.1", Outcome.DROPPED),
        ("10.244.0.200", Outcome.DROPPED),
        ("10.244.99.2", Outcome.DROPPED),
        ("fd00::1", Outcome.DROPPED),
        ("10.244.0.1", Outcome.UNSPECIFIED),
        ("172.20.0.1", Outcome.UNSPECIFIED),
        ("192.0.2.1", Outcome.UNSPECIFIED),
    ],
)
def test_addresses_that_nobody_has(address: str, outcome: Outcome) -> None:
    assert ask(shop(), address).outcome is outcome


def test_manual_endpoints_are_no_pods() -> None:
    objects = [
        pod("client"),
        service("ext", clusterIP="10.96.0.30"),
        endpoint_slice("e", "ext", ["192.0.2.9"]),
    ]
    found = ask(state_of(objects), "10.96.0.30").deliveries
    assert [(one.pod, str(one.address), one.port, one.listens) for one in found] == [
        ("", "192.0.2.9", 8080, False)
    ]


def test_without_service_proxy_nobody_answers() -> None:
    state = shop(serviceProxy={"mode": "none"})
    assert ask(state, "10.96.0.20").outcome is Outcome.DROPPED
    assert ask(state, "default/a").outcome is Outcome.DELIVERED


# --- the intent --------------------------------------------------------------------------------------------


def compiled(objects, **keys):
    spec = cluster(**keys)
    state = build_cluster(spec, objects)
    underlay = plan_underlay(spec.topology, [node.name for node in spec.nodes])
    return state, underlay, compile_intent(state, underlay)


OBJECTS = [
    workload("Deployment", "web", replicas=4), pod("lone"), service("web", WEB, *PORTS),
    service("db", {"app": "db"}), service("head", WEB, clusterIP="None"),
]  # fmt: skip


def test_intent_of_a_node() -> None:
    state, underlay, intent = compiled(OBJECTS, nodes=3, topology={"type": "leaf-spine"})
    node = intent.nodes["node2"]
    assert (str(node.address), str(node.gateway_addresses[0])) == ("172.20.2.1", "10.244.1.1")
    assert node.mac == underlay.nodes["node2"].mac
    objects = intent.for_node("node2").objects
    peers = [one for one in objects.values() if isinstance(one, PeerNode)]
    assert [(peer.name, peer.next_hop_mac) for peer in peers] == [
        ("node1", underlay.routers[1].interfaces[0].mac), ("node3", underlay.routers[1].interfaces[0].mac),
    ]  # fmt: skip
    pods = [one for one in objects.values() if isinstance(one, PodAttachment)]
    assert sorted(f"{one.namespace}/{one.name}" for one in pods) == [
        one.qualified_name for one in state.pods_on("node2")
    ]
    for one in pods:
        assert one.mac == pod_mac(one.addresses[0])
        assert one.port == int(one.addresses[0]) - int(node.pod_cidrs[0][0])
        assert len(one.interface) == 12


def test_forwards() -> None:
    _, _, intent = compiled(OBJECTS)
    assert set(intent.shared) == {"Service/default/web", "Service/default/db"}
    web = intent.shared["Service/default/web"]
    assert isinstance(web, ServiceForward)
    assert web.number == int(web.addresses[0]) - int(ip_address("10.96.0.0"))
    assert [(one.port, one.slot, len(one.backends)) for one in web.ports] == [(80, 0, 4), (53, 2, 4)]
    db = intent.shared["Service/default/db"]
    assert isinstance(db, ServiceForward)
    assert db.ports[0].backends == ()


def test_intent_and_oracle_name_the_same_backends() -> None:
    state = set_pod_terminating(shop(), "default/a").state
    for changed in (state, set_pod_ready(state, "default/b", False).state):
        intent = compile_intent(changed, plan_underlay(cluster().topology, ["node1", "node2"]))
        web = intent.shared["Service/default/web"]
        assert isinstance(web, ServiceForward)
        for forward in web.ports:
            found = ask(changed, str(forward.address), forward.port, forward.protocol)
            assert [(one.address, one.port) for one in forward.backends] == [
                (one.address, one.port) for one in found.deliveries
            ]


def test_recompiling_equals_compiling_and_leaves_the_rest_alone() -> None:
    state, underlay, before = compiled(OBJECTS)
    name = next(name for name in state.pods if name.startswith("default/web"))
    change = set_pod_ready(state, name, False)
    after = recompile_services(before, change.state, change.services)
    assert after == compile_intent(change.state, underlay)
    assert after.shared["Service/default/db"] is before.shared["Service/default/db"]
    assert after.shared["Service/default/web"] != before.shared["Service/default/web"]
    assert after.local is before.local


def test_pods_that_come_and_go_are_recompiled_on_their_node_alone() -> None:
    from testbed.cluster.changes import add_pod, delete_pod
    from testbed.cluster.draft import draft_of_pod

    state, underlay, before = compiled(OBJECTS)
    change = delete_pod(state, "default/lone")
    node = state.pods["default/lone"].node
    after = recompile_pods(before, change.state, change.pods)
    assert after == compile_intent(change.state, underlay)
    assert [name for name in after.local if after.local[name] is not before.local[name]] == [node]
    again = add_pod(change.state, draft_of_pod(pod("lone")))
    assert recompile_pods(after, again.state, again.pods) == compile_intent(again.state, underlay)
