"""Addresses, families, protocols and MAC addresses: the words every layer above shares.

Types carry either IP family. An object that has addresses has a tuple of them, one per family, the primary
first, as Kubernetes' `podIPs` and `clusterIPs` do; dual stack is then a matter of filling the tuple.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NewType

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
IPAddresses = tuple[IPAddress, ...]
IPNetworks = tuple[IPNetwork, ...]

MacAddress = NewType("MacAddress", str)
"""Six lower-case hexadecimal octets with colons."""


class Protocol(StrEnum):
    """Transport protocols of the Kubernetes API."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


IP_PROTOCOL_NUMBER = {Protocol.TCP: 6, Protocol.UDP: 17, Protocol.SCTP: 132}
"""IANA protocol numbers."""


def mac_of(kind: int, number: int) -> MacAddress:
    """Return the locally administered MAC of the `number`-th thing of a kind.

    Args:
        kind: 0 to 255; what the address belongs to (a node's uplink, a router, a Pod).
        number: 0 to 2**32 - 1.
    """
    octets = bytes([0x02, kind]) + number.to_bytes(4, "big")
    return MacAddress(":".join(f"{octet:02x}" for octet in octets))


def pod_mac(address: IPAddress) -> MacAddress:
    """Return the MAC of the Pod that holds an address: 0a:58 and the last four octets.

    This is the rule of the CNI bridge plugin's `containernetworking/plugins/pkg/utils/hwaddr`.
    """
    octets = bytes([0x0A, 0x58]) + address.packed[-4:]
    return MacAddress(":".join(f"{octet:02x}" for octet in octets))


def host_at(network: IPNetwork, offset: int) -> IPAddress:
    """Return the address `offset` places after the network address.

    Raises:
        IndexError: the network is not that large.
    """
    return network[offset]
