"""Small clusters for the tests of the pipeline: from documents to the state, the intent and the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from controllers.pipeline.connections import NO_CONNECTIONS, Connections
from controllers.pipeline.network import Network, network_of
from controllers.pipeline.packet import Packet, transport_packet
from controllers.pipeline.walk import Outcome, walk
from testbed.cluster.build import build_cluster
from testbed.cluster.state import ClusterState, PodState
from testbed.cluster.underlay import Underlay
from testbed.cluster.underlay_plan import plan_underlay
from testbed.dataplanes.openflow import Flow, Group
from testbed.dataplanes.program import NodeProgram
from testbed.dataplanes.registry import dataplane
from testbed.inet import IPAddress, Protocol
from testbed.intent import ClusterIntent
from testbed.intent_from_cluster import compile_intent
from testbed.spec.cluster import ClusterSpec
from testbed.spec.load import parse_manifests

Document = dict[str, Any]
CLIENT_PORT = 40_000


@dataclass(frozen=True, slots=True)
class Built:
    """A cluster at every layer from its state to the network that its programs make up."""

    state: ClusterState
    underlay: Underlay
    intent: ClusterIntent
    programs: tuple[NodeProgram, ...]
    network: Network

    def pod(self, name: str) -> PodState:
        return self.state.pods[f"default/{name}"]

    def address(self, pod: str) -> IPAddress:
        return self.pod(pod).addresses[0]

    def cluster_ip(self, service: str) -> IPAddress:
        return self.state.services[f"default/{service}"].cluster_ips[0]

    def walk(
        self, pod: str, packet: Packet, connections: Connections = NO_CONNECTIONS, **options: Any
    ) -> tuple[Outcome, ...]:
        """Walk a packet that a Pod of namespace default sends."""
        return walk(self.network, self.network.pod_port(f"default/{pod}"), packet, connections, **options)

    def send(
        self,
        pod: str,
        to: IPAddress,
        port: int,
        protocol: Protocol = Protocol.TCP,
        connections: Connections = NO_CONNECTIONS,
        **options: Any,
    ) -> tuple[Outcome, ...]:
        """Walk the first packet of a connection."""
        packet = transport_packet(protocol, (self.address(pod), CLIENT_PORT), (to, port), **options)
        return self.walk(pod, packet, connections)


def built(state: ClusterState, spec: ClusterSpec) -> Built:
    underlay = plan_underlay(spec.topology, [node.name for node in spec.nodes])
    intent = compile_intent(state, underlay)
    plugin = dataplane("ovs", "ovs")
    programs = tuple(plugin.render(intent.for_node(name)) for name in intent.nodes)
    return Built(state, underlay, intent, programs, network_of(programs, intent.nodes, underlay))


def cluster_of(documents: Iterable[Document], **keys: Any) -> Built:
    """Build a cluster from manifests; `keys` are those of a Cluster's spec, camelCase."""
    spec = cluster_spec(**keys)
    return built(state_of(documents, spec), spec)


def cluster_spec(encapsulation: str = "vxlan", topology: str = "single", **keys: Any) -> ClusterSpec:
    network = {"encapsulation": encapsulation}
    return ClusterSpec.model_validate({"network": network, "topology": {"type": topology}, **keys})


def state_of(documents: Iterable[Document], spec: ClusterSpec) -> ClusterState:
    return build_cluster(spec, parse_manifests(documents).objects)


def pod(
    name: str, app: str = "", node: str = "", ports: Sequence[tuple[int, str]] = ((8080, "TCP"),)
) -> Document:
    spec: Document = {
        "containers": [
            {
                "name": "main",
                "image": "echo",
                "ports": [{"containerPort": port, "protocol": protocol} for port, protocol in ports],
            }
        ]
    }
    if node:
        spec["nodeName"] = node
    labels = {"app": app} if app else {}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def service(
    name: str, app: str, ports: Sequence[tuple[int, str, int]] = ((80, "TCP", 8080),), **spec: Any
) -> Document:
    """Return a Service; `ports` are (port, protocol, targetPort)."""
    listed = [
        {"name": f"{protocol.lower()}-{port}", "port": port, "protocol": protocol, "targetPort": target}
        for port, protocol, target in ports
    ]
    body = {"selector": {"app": app}, "ports": listed, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


def flows_of(program: NodeProgram) -> tuple[Flow, ...]:
    return tuple(thing for thing in program.objects() if isinstance(thing, Flow))


def groups_of(program: NodeProgram) -> tuple[Group, ...]:
    return tuple(thing for thing in program.objects() if isinstance(thing, Group))
