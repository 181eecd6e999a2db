"""The oracle: what becomes of a Pod's packet by the Kubernetes network model alone.

Knows ClusterState and the API's rules; knows no dataplane, no flow and no intent, so that it can contradict
them. Whether its answer comes true is for a walk through the program, and for the live cluster, to show.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from testbed.cluster.index import index_of
from testbed.cluster.state import (
    ClusterState,
    Endpoint,
    PodState,
    ServicePort,
    ServiceState,
)
from testbed.dataplanes.catalogue import SERVICE_PROXIES
from testbed.inet import IPAddress, Protocol, host_at

Aim = tuple[IPAddress, Protocol, int]
"""Address, protocol and port that a client sends to."""


class Outcome(StrEnum):
    """What becomes of the first packet of a connection."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    """The client is told: a TCP RST, or an ICMP port unreachable."""
    DROPPED = "dropped"
    """Nobody answers; at most a router says that it has no route."""
    UNSPECIFIED = "unspecified"
    """The model does not say: a node's own address, or one beyond the cluster."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Somebody who may get the packet. `pod` is its `namespace/name`, or "" for an endpoint that is no Pod.

    `listens` says whether the Pod has a container port there. `is_source_translated` is true where the
    backend does not see the client's own address.
    """

    pod: str
    address: IPAddress
    port: int
    listens: bool
    is_source_translated: bool = False


@dataclass(frozen=True, slots=True)
class Reachability:
    """The answer. `deliveries`, sorted by address, are the choices of which a connection gets one."""

    outcome: Outcome
    reason: str
    deliveries: tuple[Delivery, ...] = ()


def answer(
    state: ClusterState, source: PodState, destination: IPAddress, *, protocol: Protocol, port: int
) -> Reachability:
    """Say what becomes of a packet that opens a connection.

    Args:
        state: the cluster.
        source: the Pod that sends.
        destination: the address it sends to.
        protocol: transport protocol.
        port: destination port.
    """
    if all(address.version != destination.version for address in source.addresses):
        return Reachability(Outcome.DROPPED, f"{source.qualified_name} has no address of that IP family")
    index = index_of(state)
    pod = index.pods_by_address.get(destination)
    if pod is not None:
        # Network model: "pods can communicate with all other pods on any other node without NAT".
        delivery = _delivery(state, destination, protocol, port)
        return Reachability(Outcome.DELIVERED, f"it is the address of Pod {pod}", (delivery,))
    service = index.services_by_address.get(destination)
    if service is not None:
        return _to_service(state, source, state.services[service], (destination, protocol, port))
    return _to_nobody(state, destination)


def _to_service(state: ClusterState, source: PodState, service: ServiceState, aim: Aim) -> Reachability:
    address, protocol, number = aim
    name = service.qualified_name
    if not SERVICE_PROXIES[state.network.service_proxy].is_installed:
        # Services docs, "Virtual IPs": kube-proxy, or what replaces it, is what makes a ClusterIP work;
        # without either, nobody answers for one.
        return Reachability(Outcome.DROPPED, f"no service proxy serves Service {name}")
    port = _port(service, protocol, number)
    if port is None:
        return _to_unknown_port(state, f"Service {name} has no port {number}/{protocol}")
    deliveries = _service_deliveries(state, source, service, (address, port))
    if not deliveries:
        # kube-proxy: traffic to a Service port "has no endpoints" is rejected, never left without an answer.
        return Reachability(Outcome.REJECTED, f"Service {name} has no endpoints for port {number}/{protocol}")
    return Reachability(Outcome.DELIVERED, f"it is the address of Service {name}", deliveries)


def _to_unknown_port(state: ClusterState, reason: str) -> Reachability:
    """Return what becomes of a packet to a port that an active ClusterIP does not have.

    kube-proxy's nftables mode rejects it; its iptables mode has no rule for it, so that it leaves by the
    node's routes, where nobody has the address.
    """
    if SERVICE_PROXIES[state.network.service_proxy].rejects_unknown_ports:
        return Reachability(Outcome.REJECTED, reason)
    return Reachability(Outcome.DROPPED, f"{reason}, and the service proxy leaves such packets alone")


def _to_nobody(state: ClusterState, destination: IPAddress) -> Reachability:
    if any(destination in cidr for cidr in state.network.service_cidrs):
        # kube-proxy, nftables mode: packets to an unallocated address of the serviceCIDR are dropped.
        return Reachability(Outcome.DROPPED, "no Service has that address of the serviceCIDR")
    nodes = state.nodes.values()
    if any(destination == host_at(block, 1) for node in nodes for block in node.pod_cidrs):
        return Reachability(Outcome.UNSPECIFIED, "it is a node's own address, of its podCIDR")
    if any(destination in cidr for cidr in state.network.pod_cidrs):
        # IP-per-Pod: an address of the podCIDR that no Pod has leads to no interface.
        return Reachability(Outcome.DROPPED, "no Pod has that address of the podCIDR")
    if any(destination in node.addresses for node in nodes):
        return Reachability(Outcome.UNSPECIFIED, "it is a node's own address")
    return Reachability(Outcome.UNSPECIFIED, "it is no address of the cluster")


def _port(service: ServiceState, protocol: Protocol, number: int) -> ServicePort | None:
    matching = (port for port in service.ports if (port.protocol, port.port) == (protocol, number))
    return next(matching, None)


def _service_deliveries(
    state: ClusterState, source: PodState, service: ServiceState, aim: tuple[IPAddress, ServicePort]
) -> tuple[Delivery, ...]:
    """Return who may get a packet to one address and port of a Service, sorted by address and port."""
    address, port = aim
    endpoints = _endpoints(state, service, port)
    # KEP-1669: terminating endpoints count only while no endpoint is ready, and then those that still serve.
    chosen = [pair for pair in endpoints if pair[0].ready] or [
        pair for pair in endpoints if pair[0].serving and pair[0].terminating
    ]
    targets = {
        (_address(endpoint, address.version), number)
        for endpoint, number in chosen
        if any(own.version == address.version for own in endpoint.addresses)
    }
    ordered = sorted(targets, key=lambda target: (int(target[0]), target[1]))
    return tuple(
        replace(
            _delivery(state, target, port.protocol, number),
            # A Pod that is its own backend would answer itself past the translation, so its source is
            # translated too (kube-proxy: masquerade of hairpin connections). Others see the client's address.
            is_source_translated=target in source.addresses,
        )
        for target, number in ordered
    )


def _endpoints(state: ClusterState, service: ServiceState, port: ServicePort) -> list[tuple[Endpoint, int]]:
    """Return every endpoint of a Service's port, with the number it answers on.

    API rule (ServicePort.name): "When considering the endpoints for a Service, this must match the 'name'
    field in the EndpointPort."
    """
    return [
        (endpoint, own.port)
        for found in state.slices.get(service.qualified_name, ())
        for own in found.ports
        if own.name == port.name and own.protocol == port.protocol
        for endpoint in found.endpoints
    ]


def _address(endpoint: Endpoint, version: int) -> IPAddress:
    return next(address for address in endpoint.addresses if address.version == version)


def _delivery(state: ClusterState, address: IPAddress, protocol: Protocol, port: int) -> Delivery:
    name = index_of(state).pods_by_address.get(address, "")
    ports = state.pods[name].ports if name else ()
    listens = any((own.port, own.protocol) == (port, protocol) for own in ports)
    return Delivery(name, address, port, listens)
