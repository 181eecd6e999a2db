"""The paths: descriptions and manifests say the same, whatever nodes and Services there are."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.measurement.paths import (
    PORTS,
    TargetKind,
    aim,
    new_service_manifest,
    path_descriptions,
    path_manifests,
)

MATRIX = path_descriptions(2)


def objects(kind: str, node_names: list[str], services: int = 0) -> dict[str, Any]:
    manifests: list[Any] = path_manifests(node_names, services)
    return {name_of(thing): thing for thing in manifests if thing["kind"] == kind}


def name_of(thing: Any) -> str:
    return f"{thing['metadata'].get('namespace', '')}/{thing['metadata']['name']}"


def endpoints(service: Any, pods: dict[str, Any]) -> list[str]:
    selector = service["spec"]["selector"].items()
    return [name for name, pod in pods.items() if selector <= pod["metadata"]["labels"].items()]


@pytest.mark.parametrize("node_names", [["n1"], ["n1", "n2"], ["a", "b", "c"]])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_path_has_its_pods_and_one_endpoint(node_names: list[str], count: int) -> None:
    pods, services = objects("Pod", node_names), objects("Service", node_names, count)
    added: Any = new_service_manifest(len(node_names), "10.96.0.9")
    services[name_of(added)] = added
    paths = path_descriptions(len(node_names), count)
    for path in paths.values():
        if path.kind is TargetKind.RAW_VETH:
            continue
        assert {path.client, *path.servers} <= set(pods)
        if path.kind is TargetKind.SERVICE:
            assert endpoints(services[path.target], pods) == list(path.servers)
        else:
            assert path.target == path.servers[0]
        is_far = pods[path.client]["spec"]["nodeName"] != pods[path.servers[0]]["spec"]["nodeName"]
        leads_far = "other-node" in path.name or path.name.endswith("-service")
        assert is_far is (leads_far and len(node_names) > 1)


def test_services_carry_the_ports_that_clients_aim_at() -> None:
    hairpin = objects("Service", ["n1"])["testbed-paths/hairpin"]
    ports = {(port["protocol"], port["port"], port["targetPort"]) for port in hairpin["spec"]["ports"]}
    for kind in PORTS:
        assert ("TCP", *aim(MATRIX["hairpin"], kind)) in ports
    assert ("UDP", *aim(MATRIX["hairpin"], "latency")) in ports
    assert ("UDP", *aim(MATRIX["hairpin"], "throughput")) in ports
    assert all(service != server for _, service, server in ports)


def test_generated_services_have_the_port_of_connect_alone() -> None:
    services = objects("Service", ["n1", "n2"], 12)
    generated = sorted(name for name in services if "svc-" in name)
    assert (generated[0], generated[-1], len(generated)) == (
        "testbed-paths/svc-00001", "testbed-paths/svc-00012", 12,
    )  # fmt: skip
    paths = path_descriptions(2, 12)
    assert [paths[name].target for name in ("first-service", "last-service")] == [generated[0], generated[-1]]
    assert services[generated[0]]["spec"]["ports"] == [
        {"name": "connect-tcp", "port": 8103, "protocol": "TCP", "targetPort": 7001}
    ]
    assert aim(paths["last-service"], "connect") == (8103, 7001)


def test_the_new_service_is_like_a_generated_one_and_last_by_name() -> None:
    added: Any = new_service_manifest(2, "10.96.7.7")
    generated = objects("Service", ["n1", "n2"], 20_000)
    assert name_of(added) == path_descriptions(2)["new-service"].target > max(generated)
    assert added["spec"] == {**generated["testbed-paths/svc-20000"]["spec"], "clusterIP": "10.96.7.7"}
    assert aim(MATRIX["new-service"], "programming") == (8103, 7001)


def test_pod_paths_aim_at_the_server_itself_and_ping_at_no_port() -> None:
    assert aim(MATRIX["pod-same-node"], "connect") == (7001, 7001)
    assert aim(MATRIX["raw-veth"], "latency") == (11112, 11112)
    assert aim(MATRIX["pod-same-node"], "ping") == (0, 0)


def test_one_node_has_no_other_node_paths() -> None:
    assert tuple(path_descriptions(1)) == (
        "raw-veth", "pod-same-node", "clusterip-same-node", "hairpin", "new-service",
    )  # fmt: skip
    assert "testbed-paths/other-node" not in objects("Pod", ["n1"])
