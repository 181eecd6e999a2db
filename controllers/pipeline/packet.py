"""Packets as a switch reads them: header fields by their OXM name, as numbers. Pure; for `walk.py`.

A field that a packet does not have is absent, which is how a match's prerequisites come about: a UDP packet
has no `tcp_dst` to compare. Payloads, fragments and sequence numbers are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from controllers.pipeline.tables import ETH_ARP, ETH_IPV4, VIRTUAL_ROUTER_MAC
from testbed.inet import IP_PROTOCOL_NUMBER, IPAddress, MacAddress, Protocol, pod_mac

TCP_FIN, TCP_SYN, TCP_RST, TCP_ACK = 0x01, 0x02, 0x04, 0x10
ICMP = 1
ECHO_REPLY, UNREACHABLE, ECHO_REQUEST = 0, 3, 8
PORT_UNREACHABLE = 3
INITIAL_TTL = 64
BROADCAST_MAC = MacAddress("ff:ff:ff:ff:ff:ff")

_PORT_PREFIX = {IP_PROTOCOL_NUMBER[protocol]: protocol.lower() for protocol in Protocol}

Socket = tuple[IPAddress, int]
"""An address and a port."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame with an IPv4 packet or an ARP message in it. `quoted` is what an ICMP error is about."""

    fields: Mapping[str, int]
    quoted: Packet | None = None

    def with_fields(self, **changes: int) -> Packet:
        """Return the packet with some fields changed."""
        return replace(self, fields={**self.fields, **changes})

    @property
    def ip_proto(self) -> int:
        """IP protocol number, 0 for ARP."""
        return self.fields.get("ip_proto", 0)

    @property
    def source(self) -> Socket:
        """Source address, and source port or 0."""
        return IPv4Address(self.fields["ipv4_src"]), self.fields.get(port_field(self.ip_proto, "src"), 0)

    @property
    def destination(self) -> Socket:
        """Destination address, and destination port or 0."""
        return IPv4Address(self.fields["ipv4_dst"]), self.fields.get(port_field(self.ip_proto, "dst"), 0)

    @property
    def ttl(self) -> int:
        """IP time to live."""
        return self.fields["nw_ttl"]

    @property
    def tcp_flags(self) -> int:
        """TCP flags, 0 where it is no TCP."""
        return self.fields.get("tcp_flags", 0)

    def text(self) -> str:
        """The packet on one line: protocol, from where to where."""
        if self.fields["eth_type"] == ETH_ARP:
            asker, wanted = IPv4Address(self.fields["arp_spa"]), IPv4Address(self.fields["arp_tpa"])
            return f"ARP op {self.fields['arp_op']} {asker} > {wanted}"
        (source, source_port), (target, target_port) = self.source, self.destination
        if self.ip_proto not in _PORT_PREFIX:
            return f"protocol {self.ip_proto} {source} > {target} ttl {self.ttl}"
        name = _PORT_PREFIX[self.ip_proto].upper()
        return f"{name} {source}:{source_port} > {target}:{target_port} ttl {self.ttl}"


def port_field(ip_proto: int, end: str) -> str:
    """Return the OXM name of a port field, "" for a protocol without ports; `end` is "src" or "dst"."""
    prefix = _PORT_PREFIX.get(ip_proto, "")
    return f"{prefix}_{end}" if prefix else ""


def number(value: int | str) -> int:
    """Return a value of a match or an action (an address, a MAC, a number) as a number."""
    if isinstance(value, int):
        return value
    return int(value.replace(":", ""), 16) if ":" in value else int(IPv4Address(value))


def transport_packet(
    protocol: Protocol, source: Socket, destination: Socket, *, eth_src: str = "", tcp_flags: int = TCP_SYN
) -> Packet:
    """Return a packet as a Pod sends it: from its own MAC (unless another is given) to its router's."""
    ip_proto = IP_PROTOCOL_NUMBER[protocol]
    flags = {"tcp_flags": tcp_flags} if protocol is Protocol.TCP else {}
    ports = {port_field(ip_proto, "src"): source[1], port_field(ip_proto, "dst"): destination[1]}
    return _ip_packet(ip_proto, source[0], destination[0], {**ports, **flags}, eth_src=eth_src)


def echo_request(source: IPAddress, destination: IPAddress, identifier: int = 1) -> Packet:
    """Return the packet that `ping` sends (RFC 792)."""
    fields = {"icmpv4_type": ECHO_REQUEST, "icmpv4_code": 0, "icmp_id": identifier}
    return _ip_packet(ICMP, source, destination, fields)


def port_unreachable(received: Packet) -> Packet:
    """Return what a host answers to a datagram for a closed port (RFC 1122 section 4.1.3.1)."""
    fields = {"icmpv4_type": UNREACHABLE, "icmpv4_code": PORT_UNREACHABLE}
    error = _ip_packet(ICMP, received.destination[0], received.source[0], fields)
    return replace(_towards_sender(error, received), quoted=received)


def reply_to(received: Packet) -> Packet:
    """Return what the receiver of a packet answers: SYN+ACK or ACK, a datagram, an echo reply."""
    fields = {
        "ipv4_src": received.fields["ipv4_dst"],
        "ipv4_dst": received.fields["ipv4_src"],
        "nw_ttl": INITIAL_TTL,
    }
    source, destination = port_field(received.ip_proto, "src"), port_field(received.ip_proto, "dst")
    if source:
        fields |= {source: received.destination[1], destination: received.source[1]}
    if "tcp_flags" in received.fields:
        fields["tcp_flags"] = TCP_ACK | (received.tcp_flags & TCP_SYN)
    if received.fields.get("icmpv4_type") == ECHO_REQUEST:
        fields["icmpv4_type"] = ECHO_REPLY
    return _towards_sender(received.with_fields(**fields), received)


def arp_request(sender_mac: MacAddress, sender: IPAddress, target: IPAddress) -> Packet:
    """Return the broadcast that asks for an address's MAC (RFC 826)."""
    return Packet(
        {
            "eth_src": number(sender_mac),
            "eth_dst": number(BROADCAST_MAC),
            "eth_type": ETH_ARP,
            "arp_op": 1,
            "arp_sha": number(sender_mac),
            "arp_spa": int(sender),
            "arp_tha": 0,
            "arp_tpa": int(target),
        }
    )


def _ip_packet(
    ip_proto: int, source: IPAddress, destination: IPAddress, fields: Mapping[str, int], *, eth_src: str = ""
) -> Packet:
    head = {
        "eth_src": number(eth_src or pod_mac(source)),
        "eth_dst": number(VIRTUAL_ROUTER_MAC),
        "eth_type": ETH_IPV4,
        "ip_proto": ip_proto,
        "ipv4_src": int(source),
        "ipv4_dst": int(destination),
        "nw_ttl": INITIAL_TTL,
    }
    return Packet({**head, **fields})


def _towards_sender(packet: Packet, received: Packet) -> Packet:
    return packet.with_fields(eth_src=received.fields["eth_dst"], eth_dst=received.fields["eth_src"])
