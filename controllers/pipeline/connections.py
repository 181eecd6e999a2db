"""Connection tracking as a value: what ct() does to a packet and to the table of connections. Pure.

Follows Linux's conntrack, which the `system` datapath uses (nf_conntrack_proto_tcp.c, nf_nat_ovs.c). The
`netdev` datapath has its own, which differs in two ways: a RST or FIN+ACK without a connection is new, not
invalid, and a repeated first packet is translated on look-up already. Time-outs, windows and the closing of
connections are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntFlag
from ipaddress import IPv4Address

from controllers.pipeline.packet import (
    ECHO_REPLY,
    ECHO_REQUEST,
    ICMP,
    TCP_ACK,
    TCP_FIN,
    TCP_RST,
    TCP_SYN,
    Packet,
    port_field,
)
from testbed.dataplanes.openflow import Nat, Track
from testbed.inet import IP_PROTOCOL_NUMBER, Protocol

Zone = tuple[str, int]
"""A node's name and a conntrack zone of it."""

_TCP = IP_PROTOCOL_NUMBER[Protocol.TCP]
_ICMP_ERRORS = frozenset({3, 4, 5, 11, 12})
_ICMP_ANSWERS = {ECHO_REQUEST: ECHO_REPLY, 13: 14, 15: 16, 17: 18}
_ICMP_INVERSE = {**_ICMP_ANSWERS, **{answer: question for question, answer in _ICMP_ANSWERS.items()}}
_LARGEST_PORT = 0xFFFF


class CtState(IntFlag):
    """Bits of ct_state (ovs-fields(7))."""

    NEW = 0x01
    ESTABLISHED = 0x02
    RELATED = 0x04
    REPLY = 0x08
    INVALID = 0x10
    TRACKED = 0x20


@dataclass(frozen=True, slots=True)
class FiveTuple:
    """Who talks to whom. For ICMP the ports are the identifier and the type, as in Linux's conntrack."""

    ip_proto: int
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int

    def inverted(self) -> FiveTuple:
        """Return the tuple of the answer."""
        if self.ip_proto == ICMP:
            kind = _ICMP_INVERSE.get(self.destination_port, self.destination_port)
            return FiveTuple(ICMP, self.destination, self.source_port, self.source, kind)
        return FiveTuple(
            self.ip_proto, self.destination, self.destination_port, self.source, self.source_port
        )


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection of a zone: its packets as they come in, and its replies as they come in."""

    zone: Zone
    original: FiveTuple
    reply: FiveTuple
    has_reply: bool = False

    @property
    def is_translated(self) -> bool:
        """Whether packets leave otherwise than they come."""
        return self.original.inverted() != self.reply


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections of all zones of all nodes. Immutable: an addition makes a new value."""

    entries: frozenset[Connection] = frozenset()

    def find(self, zone: Zone, key: FiveTuple) -> tuple[Connection, bool] | None:
        """Return the connection that a tuple belongs to, and whether it is its reply direction's."""
        for entry in self.entries:
            if entry.zone == zone and key in (entry.original, entry.reply):
                return entry, key == entry.reply
        return None

    def with_entry(self, entry: Connection, instead_of: Connection | None = None) -> Connections:
        """Return the table with an entry, in place of another if one is given."""
        return Connections((self.entries - {instead_of}) | {entry})


NO_CONNECTIONS = Connections()


@dataclass(frozen=True, slots=True)
class Tracked:
    """A packet that has been through ct(): translated, with its state, and the connections after it."""

    packet: Packet
    state: CtState
    connections: Connections


def track(connections: Connections, node: str, packet: Packet, action: Track) -> Tracked:
    """Send a packet through a zone of a node."""
    zone = (node, action.zone)
    if packet.quoted is not None and packet.fields.get("icmpv4_type") in _ICMP_ERRORS:
        return _track_error(connections, zone, packet, action)
    key = tuple_of(packet)
    found = connections.find(zone, key)
    if found is not None:
        return _track_known(connections, packet, action, found)
    if not _may_open(packet):
        return Tracked(packet, CtState.TRACKED | CtState.INVALID, connections)
    state = CtState.TRACKED | CtState.NEW
    if not action.is_commit:
        return Tracked(packet, state, connections)
    entry = _bound(connections, zone, key, action.nat)
    return Tracked(_with_tuple(packet, entry.reply.inverted()), state, connections.with_entry(entry))


def tuple_of(packet: Packet) -> FiveTuple:
    """Return a packet's tuple."""
    (source, source_port), (destination, destination_port) = packet.source, packet.destination
    if packet.ip_proto == ICMP:
        source_port, destination_port = packet.fields.get("icmp_id", 0), packet.fields["icmpv4_type"]
    return FiveTuple(
        packet.ip_proto, IPv4Address(source), source_port, IPv4Address(destination), destination_port
    )


def _track_known(
    connections: Connections, packet: Packet, action: Track, found: tuple[Connection, bool]
) -> Tracked:
    entry, is_reply = found
    if is_reply and not entry.has_reply:
        answered = replace(entry, has_reply=True)
        connections = connections.with_entry(answered, instead_of=entry)
        entry = answered
    state = CtState.TRACKED | (CtState.ESTABLISHED if entry.has_reply else CtState.NEW)
    if is_reply:
        state |= CtState.REPLY
    # nf_ct_nat: a packet that is still new is translated on commit only, and then as its connection is bound.
    is_due = action.nat is not None and (entry.has_reply or action.is_commit)
    if is_due and entry.is_translated:
        packet = _with_tuple(packet, (entry.original if is_reply else entry.reply).inverted())
    return Tracked(packet, state, connections)


def _track_error(connections: Connections, zone: Zone, packet: Packet, action: Track) -> Tracked:
    """Track an ICMP error by the packet that it quotes, whose direction is the other one."""
    quoted = packet.quoted
    found = None if quoted is None else connections.find(zone, tuple_of(quoted).inverted())
    if quoted is None or found is None:
        return Tracked(packet, CtState.TRACKED | CtState.INVALID, connections)
    entry, is_reply = found
    state = CtState.TRACKED | CtState.RELATED | (CtState.REPLY if is_reply else CtState(0))
    # nf_ct_nat: in the original direction related packets are translated on commit only.
    if action.nat is None or not entry.is_translated or not (is_reply or action.is_commit):
        return Tracked(packet, state, connections)
    before = entry.reply if is_reply else entry.original
    after = (entry.original if is_reply else entry.reply).inverted()
    changes = {}
    if before.source != after.source:
        changes["ipv4_src"] = int(after.source)
    if before.destination != after.destination:
        changes["ipv4_dst"] = int(after.destination)
    translated = replace(packet.with_fields(**changes), quoted=_with_tuple(quoted, after.inverted()))
    return Tracked(translated, state, connections)


def _may_open(packet: Packet) -> bool:
    """Whether a packet that fits no connection may start one; a TCP ACK may (nf_conntrack_tcp_loose)."""
    if packet.ip_proto == ICMP:
        return packet.fields["icmpv4_type"] in _ICMP_ANSWERS
    if packet.ip_proto != _TCP or packet.tcp_flags & (TCP_RST | TCP_FIN):
        return packet.ip_proto != _TCP
    return bool(packet.tcp_flags & TCP_SYN) != bool(packet.tcp_flags & TCP_ACK)


def _bound(connections: Connections, zone: Zone, key: FiveTuple, nat: Nat | None) -> Connection:
    """Return the new connection; where its replies could not be told apart, its source port moves on."""
    wanted = _translated(key, nat)
    while connections.find(zone, wanted.inverted()) is not None:
        following = wanted.source_port + 1 if wanted.source_port < _LARGEST_PORT else 1024
        wanted = replace(wanted, source_port=following)
    return Connection(zone, key, wanted.inverted())


def _translated(key: FiveTuple, nat: Nat | None) -> FiveTuple:
    if nat is None or nat.address is None:
        return key
    address = IPv4Address(nat.address)
    if nat.kind == "src":
        return replace(key, source=address, source_port=nat.port or key.source_port)
    return replace(key, destination=address, destination_port=nat.port or key.destination_port)


def _with_tuple(packet: Packet, key: FiveTuple) -> Packet:
    changes = {"ipv4_src": int(key.source), "ipv4_dst": int(key.destination)}
    if packet.ip_proto == ICMP:
        changes["icmp_id"] = key.source_port
    source, destination = port_field(packet.ip_proto, "src"), port_field(packet.ip_proto, "dst")
    if source:
        changes |= {source: key.source_port, destination: key.destination_port}
    return packet.with_fields(**changes)
