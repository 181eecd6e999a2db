"""EndpointSlices: which Pods stand behind a Service, under which conditions and on which ports.

Owns what kube-controller-manager's EndpointSlice controller decides. Which of the endpoints get traffic is
for whoever reads them (`testbed.intent_from_cluster`, `reach.py`). A Service's slices follow from the Service
and the Pods that it selects alone, in whatever order those became so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from testbed.cluster.naming import generated_name
from testbed.cluster.state import (
    Endpoint,
    EndpointPort,
    EndpointSliceState,
    PodPhase,
    PodState,
    ServicePort,
    ServiceState,
)

MAX_ENDPOINTS = 100
"""Endpoints per slice: --max-endpoints-per-slice of kube-controller-manager by default."""

Ports = tuple[EndpointPort, ...]


def slices_for(
    service: ServiceState, pods: Iterable[PodState], taken_names: Iterable[str] = ()
) -> tuple[EndpointSliceState, ...]:
    """Return the EndpointSlices of a Service that selects these Pods, sorted by name.

    Pods without addresses are left out. So are Pods that have none of the Service's target ports; Pods on
    which the named target ports come to different numbers are in different slices. No slice gets one of
    `taken_names`.
    """
    groups: defaultdict[Ports, list[Endpoint]] = defaultdict(list)
    for pod in pods:
        ports = _resolved_ports(service, pod)
        if pod.phase is PodPhase.RUNNING and (ports or not service.ports):
            groups[ports].append(_endpoint(service, pod))
    taken = set(taken_names)
    slices = []
    for ports in sorted(groups):
        endpoints = sorted(groups[ports], key=_place)
        for start in range(0, len(endpoints), MAX_ENDPOINTS):
            name = generated_name(service.name, f"{service.qualified_name} {ports} {start}", taken)
            taken.add(name)
            part = tuple(endpoints[start : start + MAX_ENDPOINTS])
            slices.append(EndpointSliceState(service.namespace, name, service.qualified_name, ports, part))
    return _by_name(slices)


def all_slices_for(
    service: ServiceState, pods: Iterable[PodState], manual: tuple[EndpointSliceState, ...]
) -> tuple[EndpointSliceState, ...]:
    """Return a Service's generated slices and those that manifests give, sorted by name.

    API rule: consumers take every slice with the Service's kubernetes.io/service-name label, whoever manages
    it.
    """
    if not service.selector:
        return manual
    generated = slices_for(service, pods, (found.name for found in manual))
    return _by_name((*generated, *manual))


def keeping_identity(
    fresh: tuple[EndpointSliceState, ...], before: tuple[EndpointSliceState, ...]
) -> tuple[EndpointSliceState, ...]:
    """Return `fresh`, with the very objects of `before` wherever they are equal."""
    if fresh == before:
        return before
    known = {found.name: found for found in before}
    return tuple(known[new.name] if known.get(new.name) == new else new for new in fresh)


def _by_name(slices: Iterable[EndpointSliceState]) -> tuple[EndpointSliceState, ...]:
    return tuple(sorted(slices, key=lambda found: found.name))


def _endpoint(service: ServiceState, pod: PodState) -> Endpoint:
    """Return the endpoint of a Pod.

    API rule (EndpointConditions): "serving is identical to ready except that it is set regardless of the
    terminating state of endpoints"; ready is never true of a terminating endpoint, unless the Service has
    publishNotReadyAddresses, which makes it true always.
    """
    return Endpoint(
        addresses=pod.addresses,
        ready=service.publish_not_ready_addresses or (pod.ready and not pod.terminating),
        serving=pod.ready,
        terminating=pod.terminating,
        node=pod.node,
        target=pod.key,
    )


def _resolved_ports(service: ServiceState, pod: PodState) -> Ports:
    """Return what the Service's ports come to on a Pod, without those the Pod does not have.

    API rule (ServicePort.targetPort): "If this is a string, it will be looked up as a named port in the
    target Pod's container ports."
    """
    numbers = ((port, _target_number(port, pod)) for port in service.ports)
    return tuple(EndpointPort(port.name, port.protocol, number) for port, number in numbers if number)


def _target_number(port: ServicePort, pod: PodState) -> int | None:
    if isinstance(port.target_port, int):
        return port.target_port
    named = (own.port for own in pod.ports if (own.name, own.protocol) == (port.target_port, port.protocol))
    return next(named, None)


def _place(endpoint: Endpoint) -> tuple[int, int, str]:
    primary = endpoint.addresses[0]
    return primary.version, int(primary), str(endpoint.target)
