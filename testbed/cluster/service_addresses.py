"""Addresses of Services, from the serviceCIDR: those that manifests ask for, else the lowest free ones.

What is asked for by value is given out before anything is chosen, so an explicit wish never loses against a
choice and the order of the files has no say. Nothing assumes 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from testbed.cluster.ipam import last_usable, offset_in
from testbed.errors import CapacityError
from testbed.inet import IPAddress, IPAddresses, IPNetwork, IPNetworks

KUBERNETES_SERVICE = "default/kubernetes"
"""The Service of the API server: the first address of the serviceCIDR is its own."""

DNS_OFFSET = 10
"""Offset of the cluster DNS Service's address, by kubeadm's convention: given out only when asked for."""


@dataclass(frozen=True, slots=True)
class AddressRequest:
    """A Service that needs cluster addresses. `wanted` holds those its manifest gives, of any family."""

    service: str
    wanted: IPAddresses = ()


def assign_service_addresses(
    requests: Iterable[AddressRequest], cidrs: IPNetworks
) -> Mapping[str, IPAddresses]:
    """Give every Service one address of each serviceCIDR, the primary first.

    Wanted addresses come first; the rest takes the lowest free addresses in the order of the Services' names.

    Raises:
        CapacityError: a wanted address is outside, not usable or somebody else's; or none is left.
    """
    ordered = sorted(requests, key=lambda request: request.service)
    wanted = _wanted_addresses(ordered, cidrs)
    owned: dict[str, list[IPAddress]] = {request.service: [] for request in ordered}
    for cidr in cidrs:
        given = {service: address for address, service in wanted.items() if address in cidr}
        free = _free_service_addresses(cidr, frozenset(given.values()))
        for request in ordered:
            if request.service not in given:
                given[request.service] = _next_service_address(free, cidr, request.service)
            owned[request.service].append(given[request.service])
    return {service: tuple(addresses) for service, addresses in owned.items()}


def _wanted_addresses(requests: Iterable[AddressRequest], cidrs: IPNetworks) -> dict[IPAddress, str]:
    owners: dict[IPAddress, str] = {}
    for request in requests:
        for address in request.wanted:
            _check_service_address(address, request.service, cidrs)
            owner = owners.setdefault(address, request.service)
            if owner != request.service:
                raise _cluster_ip_error(
                    f"Services {owner} and {request.service} both ask for clusterIP {address}"
                )
    return owners


def _check_service_address(address: IPAddress, service: str, cidrs: IPNetworks) -> None:
    cidr = next((network for network in cidrs if address in network), None)
    asks = f"Service {service} asks for clusterIP {address}"
    if cidr is None:
        raise _cluster_ip_error(f"{asks}, outside the serviceCIDR {', '.join(map(str, cidrs))}")
    offset = offset_in(cidr, address)
    if offset == 0:
        raise _cluster_ip_error(f"{asks}, the network address of the serviceCIDR {cidr}")
    if offset > last_usable(cidr):
        raise _cluster_ip_error(f"{asks}, the broadcast address of the serviceCIDR {cidr}")
    if offset == 1 and service != KUBERNETES_SERVICE:
        raise _cluster_ip_error(f"{asks}, which is kept for Service {KUBERNETES_SERVICE}")


def _cluster_ip_error(what: str) -> CapacityError:
    return CapacityError(
        what, where="spec.clusterIP", fix="change clusterIP, or leave it out to get the lowest free address"
    )


def _free_service_addresses(cidr: IPNetwork, given: frozenset[IPAddress]) -> Iterator[IPAddress]:
    offsets = (offset for offset in range(2, last_usable(cidr) + 1) if offset != DNS_OFFSET)
    return (address for address in (cidr[offset] for offset in offsets) if address not in given)


def _next_service_address(free: Iterator[IPAddress], cidr: IPNetwork, service: str) -> IPAddress:
    address = next(free, None)
    if address is not None:
        return address
    size = max(0, last_usable(cidr) - 1)
    raise CapacityError(
        f"Service {service} needs an address of the serviceCIDR {cidr}, which has {size} addresses for"
        " Services, none of them free",
        where="spec.cluster.serviceCIDR",
        fix="widen serviceCIDR, or use fewer Services",
    )
