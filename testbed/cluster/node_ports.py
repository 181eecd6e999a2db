"""Node ports of Services: those that manifests ask for, and the lowest free for the others.

As in the API server, a nodePort belongs to one Service; within it, the entries of one port number (TCP and
UDP) share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from testbed.errors import CapacityError

NODE_PORTS = range(30000, 32768)
"""The API server's default --service-node-port-range."""


@dataclass(frozen=True, slots=True)
class NodePortRequest:
    """A Service that needs node ports: the (port, wanted nodePort or None) of its ports, in their order."""

    service: str
    ports: tuple[tuple[int, int | None], ...]


def assign_node_ports(requests: Iterable[NodePortRequest]) -> Mapping[str, tuple[int, ...]]:
    """Give every port of every Service a nodePort, in the Service's order of ports.

    As in the API server, a nodePort belongs to one Service; within it, the entries of one port number (TCP
    and UDP) share it. Wanted numbers come first; the rest takes the lowest free in the order of the Services'
    names.

    Raises:
        CapacityError: a wanted number is out of range or another Service's; or none is left.
    """
    ordered = sorted(requests, key=lambda request: request.service)
    owners: dict[int, str] = {}
    for request in ordered:
        for _, wanted in request.ports:
            if wanted is not None:
                _claim_node_port(owners, wanted, request.service)
    free = (number for number in NODE_PORTS if number not in owners)
    return {request.service: _complete_node_ports(request, free) for request in ordered}


def _complete_node_ports(request: NodePortRequest, free: Iterator[int]) -> tuple[int, ...]:
    numbers = {port: wanted for port, wanted in reversed(request.ports) if wanted is not None}
    given = []
    for port, wanted in request.ports:
        if port not in numbers:
            numbers[port] = _next_node_port(free, request.service)
        given.append(wanted if wanted is not None else numbers[port])
    return tuple(given)


def _next_node_port(free: Iterator[int], service: str) -> int:
    number = next(free, None)
    if number is not None:
        return number
    raise CapacityError(
        f"Service {service} needs a nodePort, and all {len(NODE_PORTS)} of"
        f" {NODE_PORTS.start}-{NODE_PORTS.stop - 1} are taken",
        where="spec.ports[].nodePort",
        fix="use fewer Services of type NodePort or LoadBalancer",
    )


def _claim_node_port(owners: dict[int, str], number: int, service: str) -> None:
    if number not in NODE_PORTS:
        raise CapacityError(
            f"Service {service} asks for nodePort {number}; a nodePort lies in"
            f" {NODE_PORTS.start}-{NODE_PORTS.stop - 1}",
            where="spec.ports[].nodePort",
            fix="change it, or leave it out to get the lowest free one",
        )
    owner = owners.setdefault(number, service)
    if owner != service:
        raise CapacityError(
            f"Services {owner} and {service} both ask for nodePort {number}",
            where="spec.ports[].nodePort",
            fix="change one of them, or leave it out to get the lowest free one",
        )
