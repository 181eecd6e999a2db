"""Where Pods run, what they are called, and why some stay Pending."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from manifests_in_code import make, pod, state_of, workload

from testbed.cluster.naming import ALPHABET, generated_name
from testbed.cluster.state import ClusterState, ObjectKey, PodPhase
from testbed.errors import CapacityError, SpecError

THREE = ({"name": "a", "labels": {"disk": "ssd"}}, {"name": "b"}, {"name": "c"})
CORDONED = make("Node", "c", {"unschedulable": True})


def nodes_of(state: ClusterState) -> dict[str, str]:
    return {found.name: found.node for found in state.pods.values()}


def test_pods_spread_by_owner_before_load() -> None:
    pinned = [pod(f"pinned{number}", nodeName="a") for number in range(3)]
    state = state_of([*pinned, workload("StatefulSet", "db", replicas=4)], nodes=THREE)
    placed = nodes_of(state)
    assert [placed[f"db-{number}"] for number in range(4)] == ["b", "c", "a", "b"]


def test_bare_pods_fill_the_emptiest_node_in_file_order() -> None:
    assert nodes_of(state_of([pod("x"), pod("y"), pod("z")], nodes=THREE)) == {"x": "a", "y": "b", "z": "c"}


def test_node_selector() -> None:
    state = state_of([workload("Deployment", "web", replicas=3, nodeSelector={"disk": "ssd"})], nodes=THREE)
    assert set(nodes_of(state).values()) == {"a"}


def test_well_known_labels_can_be_selected() -> None:
    chosen = {"kubernetes.io/os": "linux", "kubernetes.io/hostname": "b"}
    assert nodes_of(state_of([pod("x", nodeSelector=chosen)], nodes=THREE)) == {"x": "b"}


def test_node_manifest_adds_labels() -> None:
    labelled = make("Node", "b", labels={"disk": "nvme"})
    assert nodes_of(state_of([labelled, pod("x", nodeSelector={"disk": "nvme"})], nodes=THREE)) == {"x": "b"}


def test_node_manifest_without_a_node() -> None:
    with pytest.raises(SpecError, match=r"Node/z: the cluster has no such node; its nodes are a, b, c"):
        state_of([make("Node", "z")], nodes=THREE)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (
            {"nodeSelector": {"disk": "tape"}},
            "0/3 nodes are available: 2 node(s) didn't match Pod's node affinity/selector, "
            "1 node(s) were unschedulable.",
        ),
        ({"nodeName": "nowhere"}, 'no node is named "nowhere"'),
        (
            {"nodeName": "b", "nodeSelector": {"disk": "ssd"}},
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
    ],
)
def test_pending_with_a_reason(spec, reason: str) -> None:
    stuck = state_of([CORDONED, pod("x", **spec)], nodes=THREE).pods["default/x"]
    assert (stuck.phase, stuck.node, stuck.addresses, stuck.ready) == (PodPhase.PENDING, "", (), False)
    assert stuck.reason == reason


def test_node_name_passes_the_scheduler_by() -> None:
    assert nodes_of(state_of([CORDONED, pod("x", nodeName="c")], nodes=THREE)) == {"x": "c"}


def test_daemon_set_runs_on_every_eligible_node_even_unschedulable() -> None:
    everywhere = state_of([CORDONED, workload("DaemonSet", "agent")], nodes=THREE)
    assert Counter(nodes_of(everywhere).values()) == Counter("abc")
    selected = state_of([workload("DaemonSet", "agent", nodeSelector={"disk": "ssd"})], nodes=THREE)
    assert list(nodes_of(selected).values()) == ["a"]


def test_without_network_plugin_nothing_runs() -> None:
    objects = [pod("x"), pod("y", nodeName="a"), workload("DaemonSet", "agent")]
    state = state_of(objects, nodes=THREE, network={"plugin": "none"})
    assert {node.ready for node in state.nodes.values()} == {False}
    assert state.nodes["a"].ready_reason == "NetworkPluginNotReady: cni plugin not initialized"
    assert {found.phase for found in state.pods.values()} == {PodPhase.PENDING}
    assert len(state.pods) == 5
    assert state.pods["default/x"].reason == (
        "0/3 nodes are available: 3 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."
    )
    assert state.pods["default/y"].reason == (
        "container runtime network not ready: NetworkPluginNotReady: cni plugin not initialized"
    )


def test_too_many_pods_for_a_node() -> None:
    with pytest.raises(CapacityError, match=r"needs an address of node1, whose podCIDR 10.244.0.0/29 has 5"):
        state_of([workload("Deployment", "web", replicas=6)], nodes=1, nodePodPrefix=29)


def test_names_and_labels_of_a_deployment() -> None:
    pods = list(state_of([workload("Deployment", "frontend", replicas=3)]).pods.values())
    names = [
        re.fullmatch(rf"frontend-([{ALPHABET}]{{10}})-([{ALPHABET}]{{5}})", found.name) for found in pods
    ]
    assert all(names)
    assert len({name[1] for name in names if name}) == 1
    assert len({name[2] for name in names if name}) == 3
    for found, name in zip(pods, names, strict=True):
        assert found.labels == {"app": "frontend", "pod-template-hash": name[1] if name else ""}
        assert found.owner == ObjectKey("Deployment", "default", "frontend")


def test_template_hash_follows_the_template() -> None:
    first, again, other = (
        next(iter(state_of([workload("Deployment", "web", replicas=1, **spec)]).pods))
        for spec in ({}, {}, {"nodeSelector": {"kubernetes.io/os": "linux"}})
    )
    assert first == again
    assert first != other


def test_scaling_keeps_the_names_of_the_others() -> None:
    few = state_of([workload("Deployment", "web", replicas=3)]).pods.keys()
    assert few < state_of([workload("Deployment", "web", replicas=5)]).pods.keys()


def test_names_of_the_other_controllers() -> None:
    objects = [workload("ReplicaSet", "r", replicas=1), workload("StatefulSet", "s", replicas=2)]
    names = sorted(
        found.name for found in state_of([*objects, workload("DaemonSet", "d")], nodes=1).pods.values()
    )
    patterns = [rf"d-[{ALPHABET}]{{5}}", rf"r-[{ALPHABET}]{{5}}", "s-0", "s-1"]
    assert all(re.fullmatch(pattern, name) for pattern, name in zip(patterns, names, strict=True))


def test_stateful_pods_are_labelled() -> None:
    found = state_of([workload("StatefulSet", "s", replicas=2)]).pods["default/s-1"]
    assert found.labels["statefulset.kubernetes.io/pod-name"] == "s-1"
    assert found.labels["apps.kubernetes.io/pod-index"] == "1"


def test_a_taken_generated_name_gives_way() -> None:
    taken = next(iter(state_of([workload("ReplicaSet", "r", replicas=1)]).pods.values())).name
    state = state_of([pod(taken), workload("ReplicaSet", "r", replicas=1)])
    assert len(state.pods) == 2
    assert state.pods[f"default/{taken}"].owner is None


def test_a_taken_stateful_name_is_refused() -> None:
    with pytest.raises(SpecError, match="StatefulSet/default/s: it needs a Pod named default/s-0"):
        state_of([pod("s-0"), workload("StatefulSet", "s", replicas=1)])


def test_long_names_stay_dns_labels() -> None:
    name = generated_name("n" * 80, "seed", set())
    assert len(name) == 63
    assert generated_name("n" * 80, "seed", {name}) != name
