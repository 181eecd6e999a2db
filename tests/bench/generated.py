"""Clusters of a given size, planned from generated manifests as `testbed` plans those of files. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from testbed.runner.job import ClusterPlan, plan_cluster
from testbed.spec.cluster import ClusterSpec
from testbed.spec.load import parse_manifests
from tests.combinations import Combination

Document = dict[str, Any]  # a Kubernetes object as YAML would give it
POD_PORT = 80
SERVICE_PORT = 80
ENDPOINTS = 10
"""Endpoints of a generated Service, where nothing else is said."""
OPEN_VSWITCH = Combination("ovs", "vxlan", "ovs")
_FREE_HOSTS = 90
_FIRST_FREE_HOST = 60
"""Last octets in a node's /24 that no Pod of a benchmark with Services has; as many again are above them."""


def plan(nodes: int, documents: list[Document], dataplane: Combination = OPEN_VSWITCH) -> ClusterPlan:
    """Return the plan of a cluster of this many nodes on one switch."""
    cluster = ClusterSpec.model_validate({"nodes": nodes, **dataplane.spec()})
    return plan_cluster(cluster, parse_manifests(documents))


def deployment(name: str, replicas: int) -> Document:
    """Return a Deployment whose Pods answer on POD_PORT."""
    container = {"name": "echo", "image": "echo", "ports": [{"containerPort": POD_PORT}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    }


def service_name(number: int) -> str:
    """Return the name of a generated Service; names sort as their numbers do."""
    return f"service{number:05d}"


def selecting_services(count: int, app: str) -> list[Document]:
    """Return Services that select the Pods of one Deployment."""
    return [_service(number, {"app": app}) for number in range(count)]


def manual_services(count: int, nodes: int, endpoints: int = ENDPOINTS) -> list[Document]:
    """Return Services without selector and an EndpointSlice of so many addresses for each.

    No Pod has these addresses: what is measured is the way of a change to the nodes.
    """
    return [document for number in range(count) for document in _service_with_slice(number, nodes, endpoints)]


def _service_with_slice(number: int, nodes: int, endpoints: int) -> Iterator[Document]:
    yield _service(number, None)
    name = service_name(number)
    host = _FIRST_FREE_HOST + number % _FREE_HOSTS
    addresses = [f"10.244.{place % nodes}.{host + place // nodes}" for place in range(endpoints)]
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"port": POD_PORT, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address]} for address in addresses],
    }


def _service(number: int, selector: dict[str, str] | None) -> Document:
    spec: Document = {"ports": [{"port": SERVICE_PORT, "targetPort": POD_PORT}]}
    if selector is not None:
        spec["selector"] = selector
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": service_name(number)}, "spec": spec}
