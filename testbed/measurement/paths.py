"""The paths: which ways a packet can go between Pods, and the Kubernetes objects that make them exist.

Owns the names of the paths, the Pods and Services behind them and the ports of the tools. Pure: the objects
are dicts as a YAML file would hold them, for spec to validate like any other manifest; whoever built the
cluster turns a description into a `host.Path` by looking up its Pods and its target's address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from testbed.measurement.workload import (
    CONNECT,
    LATENCY,
    PING,
    PROGRAMMING,
    PROTOCOLS_OF_TYPE,
    THROUGHPUT,
)
from testbed.records.schema import RAW_VETH

NAMESPACE = "testbed-paths"
IDLE_IMAGE = "testbed/idle"
ROLE_LABEL = "testbed-paths/role"

POD_SAME_NODE = "pod-same-node"
POD_OTHER_NODE = "pod-other-node"
CLUSTERIP_SAME_NODE = "clusterip-same-node"
CLUSTERIP_OTHER_NODE = "clusterip-other-node"
HAIRPIN = "hairpin"
FIRST_SERVICE = "first-service"
LAST_SERVICE = "last-service"
NEW_SERVICE = "new-service"

CLIENT = "client"
SAME_NODE = "same-node"
OTHER_NODE = "other-node"

_NEW_SERVICE_NAME = "svc-new"
"""Sorts after every generated Service, whose names go on with a digit."""


class TargetKind(StrEnum):
    """What a client aims at."""

    RAW_VETH = "raw veth"
    POD = "Pod"
    SERVICE = "Service"


@dataclass(frozen=True, slots=True)
class PathDescription:
    """A path by the names of its ends.

    `client` and `servers` are `namespace/pod`. `target` is the `namespace/name` of the Pod or Service aimed
    at. All three are `raw-veth/...` for the raw veth pair, whose two namespaces are nobody's Pods.
    """

    name: str
    kind: TargetKind
    client: str
    servers: tuple[str, ...]
    target: str


@dataclass(frozen=True, slots=True)
class ToolPorts:
    """Where a tool's server listens, and the port of the Service before it: never the same.

    `direct` is where a server listens that is aimed at without a Service. It is another port than `server`
    where the servers of both paths are up at once.
    """

    server: int
    service: int
    direct: int


PORTS: Mapping[str, ToolPorts] = {
    LATENCY: ToolPorts(server=11111, service=8101, direct=11112),
    THROUGHPUT: ToolPorts(server=5201, service=8102, direct=5201),
    CONNECT: ToolPorts(server=7001, service=8103, direct=7001),
}
"""Measurement type to its ports. ping has none, and programming those of connect."""


def path_descriptions(node_count: int, services: int = 0) -> Mapping[str, PathDescription]:
    """Return the paths that a cluster has, by name, in the order in which figures show them.

    Args:
        node_count: with one node there are no paths to another.
        services: how many generated Services there are; without any, none is the first or the last.
    """
    has_other = node_count > 1
    far = _far(node_count)
    paths = [
        PathDescription(
            RAW_VETH, TargetKind.RAW_VETH, "raw-veth/client", ("raw-veth/server",), "raw-veth/server"
        ),
        _pod_path(POD_SAME_NODE, SAME_NODE),
        *([_pod_path(POD_OTHER_NODE, OTHER_NODE)] if has_other else []),
        _service_path(CLUSTERIP_SAME_NODE, SAME_NODE, SAME_NODE),
        *([_service_path(CLUSTERIP_OTHER_NODE, OTHER_NODE, OTHER_NODE)] if has_other else []),
        _service_path(HAIRPIN, HAIRPIN, CLIENT),
    ]
    if services:
        paths.append(_service_path(FIRST_SERVICE, _generated_name(1), far))
        paths.append(_service_path(LAST_SERVICE, _generated_name(services), far))
    paths.append(_service_path(NEW_SERVICE, _NEW_SERVICE_NAME, far))
    return {path.name: path for path in paths}


def aim(path: PathDescription, measurement_type: str) -> tuple[int, int]:
    """Return the port that a tool's client aims at and the one its server listens on; zeros for ping."""
    if measurement_type == PING:
        return 0, 0
    ports = PORTS[CONNECT if measurement_type == PROGRAMMING else measurement_type]
    if path.kind is TargetKind.SERVICE:
        return ports.service, ports.server
    return ports.direct, ports.direct


def path_manifests(node_names: Sequence[str], services: int = 0) -> list[dict[str, object]]:
    """Return the Kubernetes objects of all paths that a cluster with these nodes has.

    The client and the same-node server run on the first node, the other-node server on the second, if there
    is one. Every Service has exactly one endpoint, so that it is known which path a packet takes; that of
    the `services` generated ones is the other-node server, or on a single node the same-node server.
    """
    places = {CLIENT: node_names[0], SAME_NODE: node_names[0]}
    if len(node_names) > 1:
        places[OTHER_NODE] = node_names[1]
    targets = {HAIRPIN: CLIENT} | {role: role for role in places if role != CLIENT}
    far = _far(len(node_names))
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *(_pod(role, node) for role, node in places.items()),
        *(_service(name, role, PORTS) for name, role in sorted(targets.items())),
        *(_service(_generated_name(number), far, (CONNECT,)) for number in range(1, services + 1)),
    ]


def new_service_manifest(node_count: int, cluster_ip: str) -> dict[str, object]:
    """Return the Service that programming adds and removes: like a generated one, last by name."""
    return _service(_NEW_SERVICE_NAME, _far(node_count), (CONNECT,), cluster_ip)


def _far(node_count: int) -> str:
    return OTHER_NODE if node_count > 1 else SAME_NODE


def _generated_name(number: int) -> str:
    return f"svc-{number:05d}"


def _pod_path(name: str, server: str) -> PathDescription:
    pod = f"{NAMESPACE}/{server}"
    return PathDescription(name, TargetKind.POD, f"{NAMESPACE}/{CLIENT}", (pod,), pod)


def _service_path(name: str, service: str, server: str) -> PathDescription:
    servers = (f"{NAMESPACE}/{server}",)
    client, target = f"{NAMESPACE}/{CLIENT}", f"{NAMESPACE}/{service}"
    return PathDescription(name, TargetKind.SERVICE, client, servers, target)


def _pod(role: str, node: str) -> dict[str, object]:
    ports = [
        {"name": name, "containerPort": port.server, "protocol": protocol}
        for name, protocol, port in _port_names(PORTS)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": role, "namespace": NAMESPACE, "labels": {ROLE_LABEL: role}},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "idle", "image": IDLE_IMAGE, "ports": ports}],
        },
    }


def _service(name: str, role: str, tools: Iterable[str], cluster_ip: str = "") -> dict[str, object]:
    ports = [
        {"name": port_name, "port": port.service, "protocol": protocol, "targetPort": port.server}
        for port_name, protocol, port in _port_names(tools)
    ]
    address = {"clusterIP": cluster_ip} if cluster_ip else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"type": "ClusterIP", "selector": {ROLE_LABEL: role}, "ports": ports, **address},
    }


def _port_names(tools: Iterable[str]) -> list[tuple[str, str, ToolPorts]]:
    return [
        (f"{tool}-{protocol.lower()}", protocol, PORTS[tool])
        for tool in tools
        for protocol in PROTOCOLS_OF_TYPE[tool]
    ]
