"""Services with their addresses and node ports, and the EndpointSlices that manifests give themselves.

Owns the step from the manifests' models to ServiceState. Which endpoints a selector finds is `endpoints.py`'s
part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from testbed.cluster.node_ports import NodePortRequest, assign_node_ports
from testbed.cluster.service_addresses import AddressRequest, assign_service_addresses
from testbed.cluster.state import (
    Endpoint,
    EndpointPort,
    EndpointSliceState,
    ObjectKey,
    ServicePort,
    ServiceState,
    ServiceType,
)
from testbed.inet import IPAddresses, IPNetworks, Protocol
from testbed.spec.kubernetes import EndpointSlice, Service, SliceEndpoint


def services_of(services: Iterable[Service], cidrs: IPNetworks) -> Mapping[str, ServiceState]:
    """Return every Service with its addresses and node ports, by `namespace/name`, sorted.

    Raises:
        CapacityError: an address or a nodePort cannot be given.
    """
    ordered = sorted(services, key=_name)
    addresses = assign_service_addresses(
        (AddressRequest(_name(service), _wanted(service)) for service in ordered if _has_cluster_ip(service)),
        cidrs,
    )
    node_ports = assign_node_ports(
        _node_port_request(service) for service in ordered if _has_node_ports(service)
    )
    return {
        _name(service): _state(service, addresses.get(_name(service), ()), node_ports.get(_name(service), ()))
        for service in ordered
    }


def manual_slices_of(slices: Iterable[EndpointSlice]) -> Mapping[str, tuple[EndpointSliceState, ...]]:
    """Return the EndpointSlices of manifests by the `namespace/name` of their Service, sorted by name.

    A slice without the kubernetes.io/service-name label (KEP-752) belongs to no Service and is left out.
    """
    by_service: defaultdict[str, list[EndpointSliceState]] = defaultdict(list)
    for found in sorted(slices, key=lambda found: (found.metadata.namespace, found.metadata.name)):
        if found.service_name:
            by_service[f"{found.metadata.namespace}/{found.service_name}"].append(_manual_slice(found))
    return {service: tuple(states) for service, states in sorted(by_service.items())}


def _state(service: Service, addresses: IPAddresses, node_ports: tuple[int, ...]) -> ServiceState:
    spec = service.spec
    numbers = node_ports or (None,) * len(spec.ports)
    ports = (
        ServicePort(port.name, Protocol(port.protocol), port.port, port.target_port, number)
        for port, number in zip(spec.ports, numbers, strict=True)
    )
    is_selecting = bool(spec.selector) and spec.type != ServiceType.EXTERNAL_NAME
    return ServiceState(
        namespace=service.metadata.namespace,
        name=service.metadata.name,
        labels=dict(sorted(service.metadata.labels.items())),
        type=ServiceType(spec.type),
        cluster_ips=addresses,
        ports=tuple(ports),
        selector=dict(sorted(spec.selector.items())) if is_selecting else None,
        publish_not_ready_addresses=spec.publish_not_ready_addresses,
    )


def _name(service: Service) -> str:
    return f"{service.metadata.namespace}/{service.metadata.name}"


def _has_cluster_ip(service: Service) -> bool:
    """API rule (ServiceSpec.clusterIP): none for "None" (headless), nor for type ExternalName."""
    return service.spec.type != ServiceType.EXTERNAL_NAME and not service.spec.is_headless


def _wanted(service: Service) -> IPAddresses:
    """API rule (ServiceSpec.clusterIPs): its first entry and clusterIP are the same."""
    texts = (service.spec.cluster_ip, *service.spec.cluster_ips)
    return tuple(dict.fromkeys(ip_address(text) for text in texts if text))


def _has_node_ports(service: Service) -> bool:
    """API rule (ServicePort.nodePort): for Services of type NodePort and LoadBalancer."""
    return service.spec.type in (ServiceType.NODE_PORT, ServiceType.LOAD_BALANCER)


def _node_port_request(service: Service) -> NodePortRequest:
    return NodePortRequest(
        _name(service), tuple((port.port, port.node_port or None) for port in service.spec.ports)
    )


def _manual_slice(found: EndpointSlice) -> EndpointSliceState:
    namespace = found.metadata.namespace
    return EndpointSliceState(
        namespace=namespace,
        name=found.metadata.name,
        service=f"{namespace}/{found.service_name}",
        ports=tuple(EndpointPort(port.name, Protocol(port.protocol), port.port) for port in found.ports),
        endpoints=tuple(_manual_endpoint(endpoint, namespace) for endpoint in found.endpoints),
    )


def _manual_endpoint(endpoint: SliceEndpoint, namespace: str) -> Endpoint:
    conditions, target = endpoint.conditions, endpoint.target_ref
    return Endpoint(
        addresses=tuple(map(ip_address, endpoint.addresses)),
        ready=conditions.ready,
        serving=conditions.serving,
        terminating=conditions.terminating,
        node=endpoint.node_name,
        target=ObjectKey(target.kind, target.namespace or namespace, target.name) if target else None,
    )
