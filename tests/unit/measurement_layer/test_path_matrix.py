"""The path matrix: descriptions and manifests say the same, and impossible paths are refused."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.errors import SpecError
from testbed.measurement.paths import (
    PATHS,
    PORTS,
    TargetKind,
    aim,
    available_paths,
    check_paths,
    path_manifests,
)


def objects(kind: str, node_names: list[str]) -> dict[str, Any]:
    manifests: list[Any] = path_manifests(node_names)
    return {
        f"{thing['metadata'].get('namespace', '')}/{thing['metadata']['name']}": thing
        for thing in manifests
        if thing["kind"] == kind
    }


def endpoints(service: Any, pods: dict[str, Any]) -> list[str]:
    selector = service["spec"]["selector"].items()
    return [name for name, pod in pods.items() if selector <= pod["metadata"]["labels"].items()]


@pytest.mark.parametrize("node_names", [["n1"], ["n1", "n2"], ["a", "b", "c"]])
def test_every_available_path_has_its_pods_and_one_endpoint(node_names: list[str]) -> None:
    pods, services = objects("Pod", node_names), objects("Service", node_names)
    for name in available_paths(len(node_names)):
        path = PATHS[name]
        if path.kind is TargetKind.RAW_VETH:
            continue
        assert {path.client, *path.servers} <= set(pods)
        if path.kind is TargetKind.SERVICE:
            assert endpoints(services[path.target], pods) == list(path.servers)
        else:
            assert path.target == path.servers[0]
        other = pods[path.client]["spec"]["nodeName"] != pods[path.servers[0]]["spec"]["nodeName"]
        assert other is (path.least_nodes == 2)


def test_services_carry_the_ports_that_clients_aim_at() -> None:
    hairpin = objects("Service", ["n1"])["testbed-paths/hairpin"]
    ports = {(port["protocol"], port["port"], port["targetPort"]) for port in hairpin["spec"]["ports"]}
    for kind in PORTS:
        assert ("TCP", *aim(PATHS["hairpin"], kind)) in ports
    assert ("UDP", *aim(PATHS["hairpin"], "latency")) in ports
    assert ("UDP", *aim(PATHS["hairpin"], "throughput")) in ports
    assert all(service != server for _, service, server in ports)


def test_pod_paths_aim_at_the_server_itself_and_ping_at_no_port() -> None:
    assert aim(PATHS["pod-same-node"], "connect") == (7001, 7001)
    assert aim(PATHS["raw-veth"], "latency") == (11112, 11112)
    assert aim(PATHS["pod-same-node"], "ping") == (0, 0)


def test_one_node_has_no_other_node_paths() -> None:
    assert available_paths(1) == ("raw-veth", "pod-same-node", "clusterip-same-node", "hairpin")
    assert "testbed-paths/other-node" not in objects("Pod", ["n1"])


def test_impossible_paths_are_refused_all_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        check_paths(["pod-other-node", "moon", "hairpin"], 1, file="e.yaml", key_path="spec.measurements[0]")
    assert str(caught.value).splitlines() == [
        "e.yaml: spec.measurements[0]: the path 'pod-other-node' needs 2 nodes and the cluster has 1; "
        "allowed: raw-veth, pod-same-node, clusterip-same-node, hairpin",
        "e.yaml: spec.measurements[0]: there is no path 'moon'; "
        "allowed: raw-veth, pod-same-node, clusterip-same-node, hairpin",
    ]
    check_paths(list(PATHS), 2, file="e.yaml", key_path="spec")
