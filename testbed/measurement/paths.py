"""The path matrix: which ways a packet can go between Pods, and the Kubernetes objects that make them exist.

Owns the names of the paths, the Pods and Services behind them and the ports of the tools. Pure: the objects
are dicts as a YAML file would hold them, for spec to validate like any other manifest; whoever built the
cluster turns a description into a `host.Path` by looking up its Pods and its target's address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from testbed.errors import Finding, SpecError
from testbed.measurement.workload import CONNECT, LATENCY, PING, PROTOCOLS_OF_TYPE, THROUGHPUT
from testbed.records.schema import RAW_VETH

NAMESPACE = "testbed-paths"
IDLE_IMAGE = "testbed/idle"
ROLE_LABEL = "testbed-paths/role"

POD_SAME_NODE = "pod-same-node"
POD_OTHER_NODE = "pod-other-node"
CLUSTERIP_SAME_NODE = "clusterip-same-node"
CLUSTERIP_OTHER_NODE = "clusterip-other-node"
HAIRPIN = "hairpin"

CLIENT = "client"
SAME_NODE = "same-node"
OTHER_NODE = "other-node"


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
    `least_nodes` is how many nodes the path needs.
    """

    name: str
    kind: TargetKind
    client: str
    servers: tuple[str, ...]
    target: str
    least_nodes: int = 1


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
"""Measurement type to its ports. ping has none."""


def _pod_path(name: str, server: str, least_nodes: int = 1) -> PathDescription:
    pod = f"{NAMESPACE}/{server}"
    return PathDescription(name, TargetKind.POD, f"{NAMESPACE}/{CLIENT}", (pod,), pod, least_nodes)


def _service_path(name: str, service: str, server: str, least_nodes: int = 1) -> PathDescription:
    servers = (f"{NAMESPACE}/{server}",)
    client, target = f"{NAMESPACE}/{CLIENT}", f"{NAMESPACE}/{service}"
    return PathDescription(name, TargetKind.SERVICE, client, servers, target, least_nodes)


PATHS: Mapping[str, PathDescription] = {
    description.name: description
    for description in (
        PathDescription(
            RAW_VETH, TargetKind.RAW_VETH, "raw-veth/client", ("raw-veth/server",), "raw-veth/server"
        ),
        _pod_path(POD_SAME_NODE, SAME_NODE),
        _pod_path(POD_OTHER_NODE, OTHER_NODE, least_nodes=2),
        _service_path(CLUSTERIP_SAME_NODE, SAME_NODE, SAME_NODE),
        _service_path(CLUSTERIP_OTHER_NODE, OTHER_NODE, OTHER_NODE, least_nodes=2),
        _service_path(HAIRPIN, HAIRPIN, CLIENT),
    )
}
"""All paths by name, in the order in which figures show them."""


def available_paths(node_count: int) -> tuple[str, ...]:
    """Return the names of the paths that a cluster of that many nodes has, in the order of PATHS."""
    return tuple(name for name, path in PATHS.items() if path.least_nodes <= node_count)


def check_paths(names: Sequence[str], node_count: int, *, file: str, key_path: str) -> None:
    """Refuse paths that do not exist.

    Raises:
        SpecError: one finding for each name that no path has, or that needs more nodes.
    """
    findings = [
        Finding(file, 0, 0, key_path, what, allowed=f"allowed: {', '.join(available_paths(node_count))}")
        for name in names
        if (what := _objection(name, node_count))
    ]
    if findings:
        raise SpecError(findings)


def aim(path: PathDescription, measurement_type: str) -> tuple[int, int]:
    """Return the port that a tool's client aims at and the one its server listens on; zeros for ping."""
    if measurement_type == PING:
        return 0, 0
    ports = PORTS[measurement_type]
    if path.kind is TargetKind.SERVICE:
        return ports.service, ports.server
    return ports.direct, ports.direct


def path_manifests(node_names: Sequence[str]) -> list[dict[str, object]]:
    """Return the Kubernetes objects of all paths that a cluster with these nodes has.

    The client and the same-node server run on the first node, the other-node server on the second, if there
    is one. Every Service has exactly one endpoint, so that it is known which path a packet takes.
    """
    places = {CLIENT: node_names[0], SAME_NODE: node_names[0]}
    if len(node_names) > 1:
        places[OTHER_NODE] = node_names[1]
    services = {HAIRPIN: CLIENT} | {role: role for role in places if role != CLIENT}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *(_pod(role, node) for role, node in places.items()),
        *(_service(name, role) for name, role in sorted(services.items())),
    ]


def _objection(name: str, node_count: int) -> str:
    if name not in PATHS:
        return f"there is no path '{name}'"
    least = PATHS[name].least_nodes
    return (
        f"the path '{name}' needs {least} nodes and the cluster has {node_count}"
        if least > node_count
        else ""
    )


def _pod(role: str, node: str) -> dict[str, object]:
    ports = [
        {"name": name, "containerPort": port.server, "protocol": protocol}
        for name, protocol, port in _port_names()
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


def _service(name: str, role: str) -> dict[str, object]:
    ports = [
        {"name": port_name, "port": port.service, "protocol": protocol, "targetPort": port.server}
        for port_name, protocol, port in _port_names()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"type": "ClusterIP", "selector": {ROLE_LABEL: role}, "ports": ports},
    }


def _port_names() -> list[tuple[str, str, ToolPorts]]:
    return [
        (f"{tool}-{protocol.lower()}", protocol, ports)
        for tool, ports in PORTS.items()
        for protocol in PROTOCOLS_OF_TYPE[tool]
    ]
