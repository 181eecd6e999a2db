"""EndpointSlices from selectors, conditions and ports; those that manifests give; order independence."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests_in_code import (
    HTTP,
    cluster,
    endpoint_slice,
    make,
    pod,
    service,
    state_of,
    workload,
)

from testbed.cluster.build import build_cluster
from testbed.cluster.changes import set_pod_ready, set_pod_terminating
from testbed.cluster.state import ClusterState, EndpointPort
from testbed.errors import SpecError
from testbed.inet import Protocol

WEB = {"app": "web"}


def conditions(state: ClusterState, of: str) -> list[tuple[str, bool, bool, bool]]:
    return [
        (end.target.name if end.target else "", end.ready, end.serving, end.terminating)
        for found in state.slices[of]
        for end in found.endpoints
    ]


def test_exactly_the_selected_running_pods() -> None:
    objects = [
        pod("a", WEB),
        pod("b", {**WEB, "tier": "x"}),
        pod("c", {"app": "db"}),
        pod("d", WEB, nodeName="nowhere"),
        pod("e", WEB, namespace="kube-system"),
        service("web", WEB),
    ]
    assert conditions(state_of(objects), "default/web") == [
        ("a", True, True, False),
        ("b", True, True, False),
    ]


def test_conditions_follow_the_pod() -> None:
    state = state_of([pod("a", WEB), pod("b", WEB), service("web", WEB)])
    state = set_pod_ready(state, "default/a", False).state
    assert conditions(state, "default/web") == [("a", False, False, False), ("b", True, True, False)]
    state = set_pod_terminating(state, "default/b").state
    assert conditions(state, "default/web") == [("a", False, False, False), ("b", False, True, True)]


def test_publish_not_ready_addresses() -> None:
    state = state_of([pod("a", WEB), service("web", WEB, publishNotReadyAddresses=True)])
    state = set_pod_ready(state, "default/a", False).state
    assert conditions(state, "default/web") == [("a", True, False, False)]


def test_named_ports_split_slices_and_leave_pods_out() -> None:
    objects = [
        pod("new", WEB, ports=({"name": "http", "containerPort": 9090},)),
        pod("old", WEB, ports=(HTTP,)),
        pod("udp", WEB, ports=({"name": "http", "containerPort": 8080, "protocol": "UDP"},)),
        pod("none", WEB, ports=()),
        service("web", WEB, {"port": 80, "targetPort": "http"}),
    ]
    found = {
        one.ports: [end.target.name for end in one.endpoints if end.target]
        for one in state_of(objects).slices["default/web"]
    }
    assert found == {
        (EndpointPort("", Protocol.TCP, 8080),): ["old"],
        (EndpointPort("", Protocol.TCP, 9090),): ["new"],
    }


def test_a_pod_that_has_some_of_the_ports() -> None:
    ports = (
        {"name": "web", "port": 80, "targetPort": "http"},
        {"name": "admin", "port": 81, "targetPort": "adm"},
    )
    state = state_of([pod("a", WEB), service("web", WEB, *ports)])
    assert [one.ports for one in state.slices["default/web"]] == [(EndpointPort("web", Protocol.TCP, 8080),)]


def test_headless_service_without_ports_keeps_its_endpoints() -> None:
    headless = make("Service", "web", {"clusterIP": "None", "selector": WEB})
    state = state_of([pod("a", WEB), headless])
    assert state.services["default/web"].cluster_ips == ()
    assert conditions(state, "default/web") == [("a", True, True, False)]


def test_a_hundred_endpoints_a_slice() -> None:
    state = state_of([workload("Deployment", "web", replicas=201), service("web", WEB)], nodes=1)
    slices = state.slices["default/web"]
    assert sorted(len(one.endpoints) for one in slices) == [1, 100, 100]
    assert len({one.name for one in slices}) == 3
    assert [one.name for one in slices] == sorted(one.name for one in slices)


def test_endpoints_are_sorted_by_number_not_by_text() -> None:
    state = state_of([workload("Deployment", "web", replicas=12), service("web", WEB)], nodes=1)
    last = [int(end.addresses[0]) & 255 for one in state.slices["default/web"] for end in one.endpoints]
    assert last == list(range(2, 14))


def test_manual_slices_are_taken_over() -> None:
    manual = endpoint_slice("mine", "web", ["192.0.2.10", "192.0.2.11"])
    state = state_of([service("web"), manual])
    assert state.services["default/web"].selector is None
    assert [one.name for one in state.slices["default/web"]] == ["mine"]
    assert conditions(state, "default/web") == [("", True, True, False)] * 2


def test_manual_slices_stand_beside_generated_ones() -> None:
    manual = endpoint_slice("web-manual", "web", ["192.0.2.10"])
    state = state_of([pod("a", WEB), service("web", WEB), manual])
    assert len(state.slices["default/web"]) == 2
    changed = set_pod_ready(state, "default/a", False).state
    kept = [one for one in changed.slices["default/web"] if one.name == "web-manual"]
    assert kept == [one for one in state.slices["default/web"] if one.name == "web-manual"]
    assert len(changed.slices["default/web"]) == 2


def test_ipv6_all_the_way() -> None:
    """The files refuse IPv6 for now; the layer does not."""
    spec = cluster(nodes=2)
    spec = spec.model_copy(
        update={
            "pod_cidr": ip_network("fd00:10::/48"),
            "node_pod_prefix": 64,
            "service_cidr": ip_network("fd00:96::/112"),
            "topology": spec.topology.model_copy(update={"node_cidr": ip_network("fd00:20::/64")}),
        }
    )
    state = build_cluster(spec, [pod("a", WEB), pod("b", WEB), service("web", WEB)])
    assert state.pods["default/b"].addresses == (ip_address("fd00:10:0:1::2"),)
    assert state.services["default/web"].cluster_ips == (ip_address("fd00:96::2"),)
    assert state.nodes["node2"].addresses == (ip_address("fd00:20::2"),)
    assert state.network.mtu_bytes == 1500 - 70


BUNDLE = [
    pod("a", WEB), pod("b", WEB, nodeName="node2"), pod("c", {"app": "db"}),
    workload("Deployment", "web", replicas=4), workload("StatefulSet", "db", replicas=3),
    workload("DaemonSet", "agent"), service("web", WEB),
    service("db", {"app": "db"}, clusterIP="10.96.0.2", type="NodePort"), service("outside"),
    endpoint_slice("outside-1", "outside", ["192.0.2.1"]), make("Namespace", "shop", labels={"team": "x"}),
    make("Node", "node3", {"unschedulable": True}),
]  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.permutations(BUNDLE))
def test_the_order_of_the_manifests_has_no_influence(objects) -> None:
    spec = cluster(nodes=3)
    state, usual = build_cluster(spec, objects), build_cluster(spec, BUNDLE)
    assert state == usual
    assert repr(state) == repr(usual)


def test_settings_and_namespaces() -> None:
    state = state_of(BUNDLE, nodes=3)
    assert state.network.mtu_bytes == 1450
    assert state.namespaces["shop"] == {"kubernetes.io/metadata.name": "shop", "team": "x"}
    assert "kube-system" in state.namespaces
    assert state_of([], network={"encapsulation": "none"}).network.mtu_bytes == 1500
    assert state_of([], network={"mtu": 1280}).network.mtu_bytes == 1280


def test_an_mtu_that_does_not_fit_is_refused() -> None:
    spec = cluster()
    wide = spec.model_copy(update={"network": spec.network.model_copy(update={"mtu": 1451})})
    with pytest.raises(SpecError, match=r"spec.cluster.network.mtu: 1451 does not fit .* at most 1450"):
        build_cluster(wide, [])
