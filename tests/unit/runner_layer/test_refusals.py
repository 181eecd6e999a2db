"""What planning refuses is told with its place in the files, before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import EnvironmentProblem, SpecError
from testbed.runner.clusters import plan_of_file
from testbed.runner.job import plan_cluster
from testbed.runner.plan import plan_run
from testbed.runner.preflight import refuse_too_many_neighbours
from testbed.spec.cluster import ClusterSpec
from testbed.spec.load import load_experiment, parse_manifests

ROUTED = "topology: {type: leaf-spine}, nodes: 4, network: {plugin: flannel, backend: host-gw}"


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(f"apiVersion: testbed/v1alpha1\n{text}")
    return file


def experiment(folder: Path, cluster: str, measurement: str) -> Path:
    text = f"kind: Experiment\nmetadata: {{name: small}}\nspec:\n  cluster: {cluster}\n"
    return write(folder, "small.yaml", f"{text}  measurements:\n    - {measurement}\n")


def refused(file: Path) -> str:
    with pytest.raises(SpecError) as caught:
        plan_run(load_experiment(file))
    return str(caught.value)


def test_nodes_apart_are_told_at_the_backend_of_a_cluster_file(tmp_path: Path) -> None:
    file = write(tmp_path, "routed.yaml", f"kind: Cluster\nspec: {{{ROUTED}}}\n")
    with pytest.raises(SpecError) as caught:
        plan_of_file(file, ())
    told = str(caught.value)
    assert told.startswith(f"{file}:3:")
    assert "spec.network.backend: backend host-gw needs all nodes on one segment: node1" in told


def test_nodes_apart_are_told_in_the_file_that_says_so(tmp_path: Path) -> None:
    cluster = write(tmp_path, "routed.yaml", f"kind: Cluster\nspec: {{{ROUTED}}}\n")
    told = refused(experiment(tmp_path, "routed.yaml", "{name: ping, type: ping}"))
    assert told.startswith(f"{cluster}:3:")


@pytest.mark.parametrize(
    "measurement",
    [
        "{name: change, type: programming}",
        "{name: first, type: connect, paths: [clusterip-other-node]}",
        "{name: rtt, type: latency, paths: [hairpin]}",
        "{name: rtt, type: latency, paths: [pod-same-node]}",
    ],
)
def test_without_a_network_plugin_no_path_can_be_measured(measurement: str, tmp_path: Path) -> None:
    file = experiment(tmp_path, "{network: {plugin: none}}", measurement)
    told = refused(file)
    assert told.startswith(f"{file}:7:")
    assert "is Pending" in told
    assert "network plugin" in told.lower() or "NetworkPluginNotReady" in told


@pytest.mark.parametrize(
    "measurement",
    [
        "{name: change, type: programming}",
        "{name: first, type: connect, paths: [pod-same-node, clusterip-same-node]}",
    ],
)
def test_without_a_service_proxy_no_path_leads_through_a_cluster_ip(measurement: str, tmp_path: Path) -> None:
    cluster = "{network: {plugin: flannel}, serviceProxy: {mode: none}}"
    told = refused(experiment(tmp_path, cluster, measurement))
    assert "serviceProxy.mode none" in told


def test_without_a_service_proxy_pods_can_be_measured(tmp_path: Path) -> None:
    cluster = "{network: {plugin: flannel}, serviceProxy: {mode: none}}"
    file = experiment(tmp_path, cluster, "{name: rtt, type: latency, paths: [pod-same-node, pod-other-node]}")
    assert len(plan_run(load_experiment(file)).trials) > 0


@pytest.mark.parametrize(
    ("plugin", "limit", "is_refused"),
    [("flannel", 24, False), ("flannel", 23, True), ("ovs", 23, False)],
    ids=["just enough", "one too few", "a plugin whose Pods learn none"],
)
def test_more_neighbours_than_the_kernel_learns(
    plugin: str, limit: int, is_refused: bool, tmp_path: Path
) -> None:
    """Ten Pods on two nodes: one entry in each Pod, one for it on its node, and the nodes' for each other."""
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"pod-{number}"},
            "spec": {"containers": [{"name": "one", "image": "example.com/one"}]},
        }
        for number in range(10)
    ]
    plan = plan_cluster(ClusterSpec.model_validate({"network": {"plugin": plugin}}), parse_manifests(pods))
    file = tmp_path / "gc_thresh3"
    file.write_text(f"{limit}\n")
    if not is_refused:
        refuse_too_many_neighbours(plan, file)
        return
    with pytest.raises(EnvironmentProblem, match="learns at most 23") as caught:
        refuse_too_many_neighbours(plan, file)
    assert "sysctl -w net.ipv4.neigh.default.gc_thresh3=48" in str(caught.value)
