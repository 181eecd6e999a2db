"""Intents as JSON values and back, for the controller, which is another process.

Pure. One pair of functions per type, so that the wire format is written down and does not follow a rename.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from testbed.inet import IPAddresses, IPNetworks, MacAddress, Protocol
from testbed.intent import (
    Backend,
    IntentObject,
    NodeIdentity,
    PeerNode,
    PodAttachment,
    ServiceForward,
    ServicePortForward,
)

Json = dict[str, Any]  # a JSON object: its values are checked by the functions that read it


def node_to_wire(node: NodeIdentity) -> Json:
    """Return a node's identity as a JSON object."""
    return {
        "name": node.name,
        "index": node.index,
        "address": str(node.address),
        "mac": node.mac,
        "podCIDRs": _texts(node.pod_cidrs),
        "gateways": _texts(node.gateway_addresses),
        "clusterPodCIDRs": _texts(node.cluster_pod_cidrs),
        "serviceCIDRs": _texts(node.service_cidrs),
        "encapsulation": node.encapsulation,
        "mtu": node.mtu_bytes,
    }


def node_from_wire(wire: Json) -> NodeIdentity:
    """Return the node's identity that a JSON object stands for.

    Raises:
        KeyError, ValueError: it stands for none.
    """
    return NodeIdentity(
        name=wire["name"],
        index=int(wire["index"]),
        address=ip_address(wire["address"]),
        mac=MacAddress(wire["mac"]),
        pod_cidrs=_networks(wire["podCIDRs"]),
        gateway_addresses=_addresses(wire["gateways"]),
        cluster_pod_cidrs=_networks(wire["clusterPodCIDRs"]),
        service_cidrs=_networks(wire["serviceCIDRs"]),
        encapsulation=wire["encapsulation"],
        mtu_bytes=int(wire["mtu"]),
    )


def object_to_wire(thing: IntentObject) -> Json:
    """Return an intent object as a JSON object, its type under "type"."""
    if isinstance(thing, PodAttachment):
        return _pod_to_wire(thing)
    if isinstance(thing, PeerNode):
        return _peer_to_wire(thing)
    return _service_to_wire(thing)


def object_from_wire(wire: Json) -> IntentObject:
    """Return the intent object that a JSON object stands for.

    Raises:
        KeyError, ValueError: it stands for none.
    """
    return _READERS[wire["type"]](wire)


def objects_to_wire(things: Mapping[str, IntentObject]) -> list[Json]:
    """Return intent objects as a JSON list, sorted by key."""
    return [object_to_wire(things[key]) for key in sorted(things)]


def objects_from_wire(wires: Iterable[Json]) -> dict[str, IntentObject]:
    """Return the intent objects of a JSON list by key."""
    things = [object_from_wire(wire) for wire in wires]
    return {thing.key: thing for thing in things}


def _pod_to_wire(pod: PodAttachment) -> Json:
    return {
        "type": "pod",
        "namespace": pod.namespace,
        "name": pod.name,
        "addresses": _texts(pod.addresses),
        "mac": pod.mac,
        "interface": pod.interface,
        "port": pod.port,
    }


def _pod_from_wire(wire: Json) -> PodAttachment:
    return PodAttachment(
        namespace=wire["namespace"],
        name=wire["name"],
        addresses=_addresses(wire["addresses"]),
        mac=MacAddress(wire["mac"]),
        interface=wire["interface"],
        port=int(wire["port"]),
    )


def _peer_to_wire(peer: PeerNode) -> Json:
    return {
        "type": "peer",
        "name": peer.name,
        "index": peer.index,
        "address": str(peer.address),
        "podCIDRs": _texts(peer.pod_cidrs),
        "nextHopMAC": peer.next_hop_mac,
        "sharesSegment": peer.shares_segment,
    }


def _peer_from_wire(wire: Json) -> PeerNode:
    return PeerNode(
        name=wire["name"],
        index=int(wire["index"]),
        address=ip_address(wire["address"]),
        pod_cidrs=_networks(wire["podCIDRs"]),
        next_hop_mac=MacAddress(wire["nextHopMAC"]),
        shares_segment=bool(wire["sharesSegment"]),
    )


def _service_to_wire(service: ServiceForward) -> Json:
    return {
        "type": "service",
        "namespace": service.namespace,
        "name": service.name,
        "number": service.number,
        "addresses": _texts(service.addresses),
        "ports": [
            {
                "address": str(port.address),
                "protocol": str(port.protocol),
                "port": port.port,
                "slot": port.slot,
                "name": port.name,
                "backends": [[str(backend.address), backend.port] for backend in port.backends],
            }
            for port in service.ports
        ],
    }


def _service_from_wire(wire: Json) -> ServiceForward:
    return ServiceForward(
        namespace=wire["namespace"],
        name=wire["name"],
        number=int(wire["number"]),
        addresses=_addresses(wire["addresses"]),
        ports=tuple(
            ServicePortForward(
                address=ip_address(port["address"]),
                protocol=Protocol(port["protocol"]),
                port=int(port["port"]),
                slot=int(port["slot"]),
                name=port["name"],
                backends=tuple(Backend(ip_address(text), int(number)) for text, number in port["backends"]),
            )
            for port in wire["ports"]
        ),
    )


_READERS: dict[str, Callable[[Json], IntentObject]] = {
    "pod": _pod_from_wire,
    "peer": _peer_from_wire,
    "service": _service_from_wire,
}


def _texts(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values]


def _addresses(texts: Iterable[str]) -> IPAddresses:
    return tuple(ip_address(text) for text in texts)


def _networks(texts: Iterable[str]) -> IPNetworks:
    return tuple(ip_network(text) for text in texts)
