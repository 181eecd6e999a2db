"""Walks a packet through the rendered programs of all nodes as Open vSwitch would, without a switch. Pure.

What a packet meets is in `network.py`, what connection tracking makes of it in `connections.py`. The walk
follows tables, groups, patches, tunnels and the underlay until the packet has come to a Pod or a node, has
been refused, or is gone. The outer packets of tunnels and what the nodes' kernels route are left out. A
program that Open vSwitch would not take, or that does what this pipeline never does, is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address

from controllers.pipeline.connections import NO_CONNECTIONS, Connections, track
from controllers.pipeline.entry import OFPP_LOCAL
from controllers.pipeline.forwarding import LOCAL_PORT_16_BITS
from controllers.pipeline.network import Bridge, Network, Port, PortKind, across_underlay
from controllers.pipeline.packet import Packet, number
from testbed.dataplanes.openflow import (
    Action,
    Bucket,
    DecrementTtl,
    Flow,
    GotoTable,
    Group,
    Move,
    Output,
    OutputRegister,
    SelectGroup,
    SetField,
    Track,
)
from testbed.errors import TestbedError

_REGISTERS: Mapping[str, int] = {f"reg{index}": 0 for index in range(16)}
_METADATA: Mapping[str, int] = {**_REGISTERS, "ct_state": 0, "tunnel_id": 0, "tun_ipv4_dst": 0}
_HOPS_MAX = 256
_FIRST_TABLE = 0


class UnwalkableError(TestbedError):
    """A program does what Open vSwitch would refuse, or what the walk cannot follow."""


class OutcomeKind(StrEnum):
    """Where a walk ends."""

    DELIVERED = "delivered"
    """At a Pod."""
    REFUSED = "refused"
    """At the controller, which answers with a TCP RST or an ICMP port unreachable."""
    DROPPED = "dropped"
    TO_NODE = "to_node"
    """At a node's own IP stack."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A table that a packet came through, as it came in; no `flow` where none matched.

    `bucket` is the one of the flow's select group that the walk followed, if it has one.
    """

    node: str
    bridge: str
    table: int
    packet: Packet
    flow: Flow | None
    bucket: Bucket | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a walk ended: on which node, at which Pod if any, and why where it was dropped.

    `packet` is as it got there, `connections` are those of all nodes after it passed.
    """

    kind: OutcomeKind
    node: str
    pod: str
    packet: Packet
    reason: str
    hops: tuple[Hop, ...]
    connections: Connections


Chooser = Callable[[Group, Packet], Iterable[Bucket]]
"""Which buckets of a select group to follow for a packet."""


def every_bucket(group: Group, _packet: Packet) -> Iterable[Bucket]:
    """Follow every bucket."""
    return group.buckets


def walk(
    network: Network,
    port: Port,
    packet: Packet,
    connections: Connections = NO_CONNECTIONS,
    *,
    choose: Chooser = every_bucket,
) -> tuple[Outcome, ...]:
    """Walk a packet that comes in by a port.

    Args:
        network: the bridges of all nodes.
        port: where it comes in, from `Network.pod_port` or `Network.gateway_port`.
        packet: as it is when it comes in.
        connections: what the nodes' connection tracking knows before.
        choose: which buckets of a select group to follow.

    Returns:
        One outcome for each bucket that was followed; one alone where no group was met.

    Raises:
        UnwalkableError: a program cannot be followed.
    """
    start = _Visit(port, packet, {**_METADATA, "in_port": port.number}, connections, ())
    return _Walker(network, choose).in_table(start, _FIRST_TABLE)


@dataclass(frozen=True, slots=True)
class _Visit:
    """A packet in a bridge: where it came in, with its metadata (registers, tunnel, ct_state)."""

    port: Port
    packet: Packet
    metadata: Mapping[str, int]
    connections: Connections
    hops: tuple[Hop, ...]

    def read(self, field: str) -> int:
        fields = self.metadata if field in self.metadata else self.packet.fields
        if field not in fields:
            raise self.unwalkable(f"reads {field}, which the packet lacks")
        return fields[field]

    def written(self, field: str, value: int) -> _Visit:
        self.read(field)
        if field in self.metadata:
            return replace(self, metadata={**self.metadata, field: value})
        return replace(self, packet=self.packet.with_fields(**{field: value}))

    def ended(self, kind: OutcomeKind, *, pod: str = "", reason: str = "") -> tuple[Outcome, ...]:
        return (Outcome(kind, self.port.node, pod, self.packet, reason, self.hops, self.connections),)

    def dropped(self, reason: str) -> tuple[Outcome, ...]:
        return self.ended(OutcomeKind.DROPPED, reason=reason)

    def moved(self, port: Port, packet: Packet, **tunnel: int) -> _Visit:
        """Return the visit to another bridge; registers and ct_state stay behind."""
        metadata = {**_METADATA, **tunnel, "in_port": port.number}
        return _Visit(port, packet, metadata, self.connections, self.hops)

    def unwalkable(self, what: str) -> UnwalkableError:
        flow = self.hops[-1].flow if self.hops else None
        where = f"node {self.port.node}" + (f": {flow.text()}" if flow else "")
        return UnwalkableError(what, where=where)


@dataclass(frozen=True, slots=True)
class _Walker:
    network: Network
    choose: Chooser

    def in_table(self, visit: _Visit, table: int) -> tuple[Outcome, ...]:
        if len(visit.hops) >= _HOPS_MAX:
            raise visit.unwalkable(f"a packet comes through more than {_HOPS_MAX} tables")
        flow = self._lookup(visit, table)
        hop = Hop(visit.port.node, visit.port.bridge, table, visit.packet, flow)
        visit = replace(visit, hops=(*visit.hops, hop))
        if flow is None:
            return visit.dropped(f"no flow of table {table} matches")
        return self._act(visit, table, flow.actions)

    def _bridge(self, visit: _Visit) -> Bridge:
        return self.network.bridges[visit.port.node, visit.port.bridge]

    def _lookup(self, visit: _Visit, table: int) -> Flow | None:
        """Return the matching flow of the highest priority; several that differ would leave it to chance."""
        fields = {**visit.packet.fields, **visit.metadata}
        flows = self._bridge(visit).tables.get(table, ())
        found = [ranked.flow for ranked in flows if ranked.matches(fields)]
        best = [flow for flow in found if flow.priority == found[0].priority]
        if len({flow.actions for flow in best}) > 1:
            shown = "; ".join(flow.text() for flow in best)
            raise visit.unwalkable(f"flows of one priority match the same packet: {shown}")
        return best[0] if best else None

    def _act(self, visit: _Visit, table: int, actions: tuple[Action, ...]) -> tuple[Outcome, ...]:
        for position, action in enumerate(actions, start=1):
            if isinstance(action, SetField):
                visit = _set_field(visit, action)
            elif isinstance(action, Move):
                visit = visit.written(action.destination, visit.read(action.source))
            elif isinstance(action, DecrementTtl):
                if visit.packet.ttl <= 1:
                    return visit.dropped("the TTL ran out")
                visit = visit.written("nw_ttl", visit.packet.ttl - 1)
            elif position < len(actions):
                raise visit.unwalkable(f"goes on after {action.text()}")
            else:
                return self._leave(visit, table, action)
        return visit.dropped("a flow drops it")

    def _leave(self, visit: _Visit, table: int, action: Action) -> tuple[Outcome, ...]:
        """Carry out the last action of a flow or bucket."""
        if isinstance(action, GotoTable):
            return self.in_table(visit, _forward(visit, table, action.table))
        if isinstance(action, Track):
            return self._track(visit, table, action)
        if isinstance(action, SelectGroup):
            return self._select(visit, table, action.group_id)
        if isinstance(action, OutputRegister):
            return self._output(visit, visit.read(action.register) & 0xFFFF)
        if isinstance(action, Output):
            return self._output(visit, action.port)
        raise visit.unwalkable(f"ends with {action.text()}")

    def _track(self, visit: _Visit, table: int, action: Track) -> tuple[Outcome, ...]:
        if action.table is None:
            raise visit.unwalkable("ct() without a table to go on in")
        tracked = track(visit.connections, visit.port.node, visit.packet, action)
        known = replace(visit, packet=tracked.packet, connections=tracked.connections)
        return self.in_table(
            known.written("ct_state", int(tracked.state)), _forward(visit, table, action.table)
        )

    def _select(self, visit: _Visit, table: int, group_id: int) -> tuple[Outcome, ...]:
        group = self._bridge(visit).groups.get(group_id)
        if group is None:
            raise visit.unwalkable(f"there is no group {group_id}")
        outcomes: list[Outcome] = []
        for bucket in self.choose(group, visit.packet):
            hop = replace(visit.hops[-1], bucket=bucket)
            chosen = replace(visit, hops=(*visit.hops[:-1], hop))
            outcomes.extend(self._act(chosen, table, bucket.actions))
        return tuple(outcomes) or visit.dropped("the group has no bucket for it")

    def _output(self, visit: _Visit, port: int | str) -> tuple[Outcome, ...]:
        if port == "CONTROLLER":
            return visit.ended(OutcomeKind.REFUSED)
        if port == "IN_PORT":
            return self._emit(visit, visit.port.number)
        if port in ("LOCAL", LOCAL_PORT_16_BITS):
            port = OFPP_LOCAL
        if not isinstance(port, int):
            raise visit.unwalkable(f"outputs to {port}")
        if port == visit.port.number:
            # OpenFlow 1.5 section 7.2.6.1: the ingress port must be named as IN_PORT.
            return visit.dropped("it may not leave by the port that it came in by")
        return self._emit(visit, port)

    def _emit(self, visit: _Visit, place: int) -> tuple[Outcome, ...]:
        behind = self._bridge(visit).ports.get(place)
        if behind is None:
            return visit.dropped(f"bridge {visit.port.bridge} has no port {place}")
        if behind.kind is PortKind.POD:
            return visit.ended(OutcomeKind.DELIVERED, pod=behind.pod)
        if behind.kind is PortKind.NODE:
            return visit.ended(OutcomeKind.TO_NODE)
        if behind.kind is PortKind.TUNNEL:
            return self._tunnel(visit)
        if behind.kind is PortKind.UPLINK:
            return self._underlay(visit)
        if behind.peer is None:
            raise visit.unwalkable(f"port {place} is a patch to nowhere")
        return self.in_table(visit.moved(behind.peer, visit.packet), _FIRST_TABLE)

    def _tunnel(self, visit: _Visit) -> tuple[Outcome, ...]:
        remote = visit.read("tun_ipv4_dst")
        node = self.network.node_at(IPv4Address(remote))
        port = None if node is None else self.network.port_of_kind(node, PortKind.TUNNEL)
        if port is None or port.node == visit.port.node:
            return visit.dropped(f"no other node has a tunnel port at {IPv4Address(remote)}")
        tunnel = {"tunnel_id": visit.read("tunnel_id"), "tun_ipv4_dst": remote}
        return self.in_table(visit.moved(port, visit.packet, **tunnel), _FIRST_TABLE)

    def _underlay(self, visit: _Visit) -> tuple[Outcome, ...]:
        arrival = across_underlay(self.network, visit.port.node, visit.packet)
        if isinstance(arrival, str):
            return visit.dropped(arrival)
        port = self.network.port_of_kind(arrival[0], PortKind.UPLINK)
        if port is None:
            return visit.dropped(f"node {arrival[0]} has no uplink on its bridge")
        return self.in_table(visit.moved(port, arrival[1]), _FIRST_TABLE)


def _set_field(visit: _Visit, action: SetField) -> _Visit:
    value = number(action.value)
    if action.mask is not None:
        value = (visit.read(action.field) & ~action.mask) | (value & action.mask)
    return visit.written(action.field, value)


def _forward(visit: _Visit, table: int, target: int) -> int:
    if target <= table:
        raise visit.unwalkable(f"goes from table {table} to {target}; the pipeline only goes forward")
    return target
