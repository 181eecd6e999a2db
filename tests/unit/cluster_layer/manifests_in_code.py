"""Manifests and clusters as the tests of this layer write them: short, and through the real models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from testbed.cluster.build import build_cluster
from testbed.cluster.state import ClusterState
from testbed.spec.cluster import ClusterSpec
from testbed.spec.kubernetes import (
    AnyObject,
    DaemonSet,
    Deployment,
    EndpointSlice,
    Namespace,
    Node,
    Pod,
    ReplicaSet,
    Service,
    StatefulSet,
)

MODELS = {
    model.__name__: model
    for model in (
        DaemonSet,
        Deployment,
        EndpointSlice,
        Namespace,
        Node,
        Pod,
        ReplicaSet,
        Service,
        StatefulSet,
    )
}


def cluster(**keys: Any) -> ClusterSpec:
    return ClusterSpec.model_validate(keys)


def state_of(objects: Iterable[AnyObject], **keys: Any) -> ClusterState:
    return build_cluster(cluster(**keys), objects)


def make(kind: str, name: str, spec: dict[str, Any] | None = None, **metadata: Any) -> AnyObject:
    document: dict[str, Any] = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **metadata}}
    if spec is not None:
        document["spec"] = spec
    return MODELS[kind].model_validate(document)


def pod_spec(*ports: dict[str, Any], **keys: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "echo", "ports": tuple(ports)}
    return {"containers": (container,), **keys}


HTTP = {"name": "http", "containerPort": 8080}


def pod(name: str, labels: dict[str, str] | None = None, *, namespace: str = "default", **spec: Any) -> Pod:
    ports = spec.pop("ports", (HTTP,))
    made = make("Pod", name, pod_spec(*ports, **spec), labels=labels or {}, namespace=namespace)
    assert isinstance(made, Pod)
    return made


def workload(
    kind: str, name: str, *, replicas: int | None = None, labels: dict[str, str] | None = None, **spec: Any
) -> AnyObject:
    chosen = labels or {"app": name}
    body: dict[str, Any] = {
        "selector": {"matchLabels": chosen},
        "template": {"metadata": {"labels": chosen}, "spec": pod_spec(HTTP, **spec)},
    }
    if replicas is not None:
        body["replicas"] = replicas
    return make(kind, name, body)


def service(
    name: str,
    selector: dict[str, str] | None = None,
    *ports: dict[str, Any],
    namespace: str = "default",
    **spec: Any,
) -> Service:
    chosen = ports or ({"port": 80, "targetPort": 8080},)
    body = {"ports": chosen, **({"selector": selector} if selector else {}), **spec}
    made = make("Service", name, body, namespace=namespace)
    assert isinstance(made, Service)
    return made


def endpoint_slice(name: str, of: str, addresses: Iterable[str], port: int = 8080) -> EndpointSlice:
    return EndpointSlice.model_validate(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": of}},
            "addressType": "IPv4",
            "ports": ({"port": port},),
            "endpoints": tuple({"addresses": (address,)} for address in addresses),
        }
    )
