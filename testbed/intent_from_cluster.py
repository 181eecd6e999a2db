"""From what Kubernetes decided to what each node must achieve: ClusterState and Underlay to ClusterIntent.

Owns which endpoints of a Service get its connections, and the numbers and names that dataplanes go by.
Each object of the intent follows from one Kubernetes object, so a change is compiled from what it touches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from testbed.cluster.ipam import offset_in
from testbed.cluster.state import (
    ClusterState,
    Endpoint,
    NodeState,
    PodPhase,
    PodState,
    ServicePort,
    ServiceState,
)
from testbed.cluster.underlay import Underlay, next_hop_mac, share_segment
from testbed.dataplanes.catalogue import SERVICE_PROXIES
from testbed.inet import IPAddress, IPAddresses, host_at, pod_mac
from testbed.intent import (
    Backend,
    ClusterIntent,
    IntentObject,
    NodeIdentity,
    PeerNode,
    PodAttachment,
    ServiceForward,
    ServicePortForward,
)

FAMILIES = 2
"""Slots that each port of a Service has: one for each IP family."""


def compile_intent(state: ClusterState, underlay: Underlay) -> ClusterIntent:
    """Return the intents of all nodes. Services are shared; Pods and peers are each node's own."""
    forwards = [_forward(state, name) for name in sorted(state.services)]
    return ClusterIntent(
        nodes={name: _identity(state, node, underlay) for name, node in state.nodes.items()},
        shared={forward.key: forward for forward in forwards if forward is not None},
        local={name: _local_objects(state, node, underlay) for name, node in state.nodes.items()},
    )


def recompile_services(intent: ClusterIntent, state: ClusterState, services: Iterable[str]) -> ClusterIntent:
    """Return the intent with these Services compiled anew, whether they changed, came or went.

    Args:
        intent: the intent before.
        state: the cluster after the change.
        services: `namespace/name` of the Services touched; all others keep their very objects.
    """
    shared = dict(intent.shared)
    for name in sorted(services):
        forward = _forward(state, name)
        if forward is None:
            shared.pop(f"Service/{name}", None)
        else:
            shared[forward.key] = forward
    return replace(intent, shared=shared)


def recompile_pods(intent: ClusterIntent, state: ClusterState, pods: Iterable[str]) -> ClusterIntent:
    """Return the intent with the attachments of these Pods compiled anew, whether they changed, came or went.

    Args:
        intent: the intent before.
        state: the cluster after the change.
        pods: `namespace/name` of the Pods touched; nodes that have none of them keep their very objects.
    """
    local = dict(intent.local)
    for name in sorted(pods):
        key = f"Pod/{name}"
        for node in [node for node, objects in local.items() if key in objects]:
            local[node] = {other: thing for other, thing in local[node].items() if other != key}
        pod = state.pods.get(name)
        if pod is not None and pod.phase is PodPhase.RUNNING:
            local[pod.node] = {**local[pod.node], key: _attachment(pod, state.nodes[pod.node])}
    return replace(intent, local=local)


def pod_interface(pod: str) -> str:
    """Return the name of a Pod's link on its node: "veth" and 8 hex digits of a hash of `namespace/name`."""
    return f"veth{hashlib.sha256(pod.encode()).hexdigest()[:8]}"


def _identity(state: ClusterState, node: NodeState, underlay: Underlay) -> NodeIdentity:
    attachment = underlay.nodes[node.name]
    return NodeIdentity(
        name=node.name,
        index=node.index,
        address=node.addresses[0],
        mac=attachment.mac,
        pod_cidrs=node.pod_cidrs,
        gateway_addresses=tuple(host_at(block, 1) for block in node.pod_cidrs),
        cluster_pod_cidrs=state.network.pod_cidrs,
        service_cidrs=state.network.service_cidrs,
        encapsulation=state.network.encapsulation,
        mtu_bytes=state.network.mtu_bytes,
        uplink=attachment.interface,
        prefix_length=attachment.prefix_length,
        gateway=attachment.gateway,
        underlay_mtu_bytes=underlay.mtu_bytes,
        direct_routing=state.network.direct_routing,
    )


def _local_objects(state: ClusterState, node: NodeState, underlay: Underlay) -> Mapping[str, IntentObject]:
    others = sorted(name for name in state.nodes if name != node.name)
    objects: list[IntentObject] = [_peer(state.nodes[name], node, underlay) for name in others]
    objects += [_attachment(pod, node) for pod in state.pods_on(node.name)]
    return {thing.key: thing for thing in objects}


def _attachment(pod: PodState, node: NodeState) -> PodAttachment:
    return PodAttachment(
        namespace=pod.namespace,
        name=pod.name,
        addresses=pod.addresses,
        mac=pod_mac(pod.addresses[0]),
        interface=pod_interface(pod.qualified_name),
        port=offset_in(node.pod_cidrs[0], pod.addresses[0]),
    )


def _peer(peer: NodeState, node: NodeState, underlay: Underlay) -> PeerNode:
    return PeerNode(
        name=peer.name,
        index=peer.index,
        address=peer.addresses[0],
        pod_cidrs=peer.pod_cidrs,
        next_hop_mac=next_hop_mac(underlay, node.name, peer.name),
        shares_segment=share_segment(underlay, node.name, peer.name),
    )


def _forward(state: ClusterState, name: str) -> ServiceForward | None:
    """Return what a Service's addresses forward to; None if it is gone, has none, or no proxy serves them."""
    service = state.services.get(name)
    is_served = SERVICE_PROXIES[state.network.service_proxy].is_installed
    if service is None or not service.cluster_ips or not is_served:
        return None
    return ServiceForward(
        namespace=service.namespace,
        name=service.name,
        number=_number(state, service.cluster_ips),
        addresses=service.cluster_ips,
        ports=tuple(
            _port_forward(state, service, (index, address))
            for index in range(len(service.ports))
            for address in service.cluster_ips
        ),
    )


def _number(state: ClusterState, addresses: IPAddresses) -> int:
    cidr = next(network for network in state.network.service_cidrs if addresses[0] in network)
    return offset_in(cidr, addresses[0])


def _port_forward(
    state: ClusterState, service: ServiceState, place: tuple[int, IPAddress]
) -> ServicePortForward:
    """Return the forward of a Service's port, given with one of its addresses as (position, address)."""
    position, address = place
    port = service.ports[position]
    return ServicePortForward(
        address=address,
        protocol=port.protocol,
        port=port.port,
        slot=position * FAMILIES + service.cluster_ips.index(address),
        backends=_backends(state, service, port, address.version),
        name=port.name,
    )


def _backends(
    state: ClusterState, service: ServiceState, port: ServicePort, version: int
) -> tuple[Backend, ...]:
    """Return the backends of a Service's port in one IP family, sorted, each once.

    Rule (KEP-1669): ready endpoints; if there is none, those that are serving while they terminate.
    """
    candidates = [
        (endpoint, own.port)
        for found in state.slices.get(service.qualified_name, ())
        for own in found.ports
        if (own.name, own.protocol) == (port.name, port.protocol)
        for endpoint in found.endpoints
    ]
    chosen = [(endpoint, number) for endpoint, number in candidates if endpoint.ready]
    if not chosen:
        chosen = [(end, number) for end, number in candidates if end.serving and end.terminating]
    reached = ((_address_of_family(endpoint, version), number) for endpoint, number in chosen)
    return tuple(sorted({Backend(address, number) for address, number in reached if address is not None}))


def _address_of_family(endpoint: Endpoint, version: int) -> IPAddress | None:
    """API rule (Endpoint.addresses): all of them are equivalent; kube-proxy takes the first."""
    return next((address for address in endpoint.addresses if address.version == version), None)
