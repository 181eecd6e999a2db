"""All nodes' bridges as `walk.py` needs them: flows by table, groups, and what lies behind each port.

Made from rendered programs, the nodes' identities and the plan of the underlay between them. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from controllers.pipeline.entry import OFPP_LOCAL
from controllers.pipeline.packet import Packet, number
from controllers.pipeline.tables import INTEGRATION_BRIDGE, UPLINK_BRIDGE
from testbed.cluster.underlay import NodeAttachment, Underlay
from testbed.dataplanes.openflow import Flow, Group, MatchValue
from testbed.dataplanes.openvswitch import OvsPort
from testbed.dataplanes.program import NodeProgram
from testbed.errors import UsageError
from testbed.inet import IPAddress
from testbed.intent import NodeIdentity

FieldTest = tuple[str, int, int]
"""A field's name, the value it must have, and the mask under which it must have it."""

_ALL_BITS = -1


class PortKind(Enum):
    """What lies behind a port."""

    POD = "Pod"
    NODE = "node"
    TUNNEL = "tunnel"
    PATCH = "patch"
    UPLINK = "uplink"


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a bridge of a node, by its OpenFlow number."""

    node: str
    bridge: str
    number: int


@dataclass(frozen=True, slots=True)
class PortBehind:
    """What lies behind a port: a Pod's `namespace/name`, or the port at the other end of a patch."""

    kind: PortKind
    pod: str = ""
    peer: Port | None = None


@dataclass(frozen=True, slots=True)
class RankedFlow:
    """A flow, with its match as tests."""

    flow: Flow
    tests: tuple[FieldTest, ...]

    def matches(self, fields: Mapping[str, int]) -> bool:
        """Whether a packet with these fields matches; a field that it lacks does not."""
        return all(name in fields and fields[name] & mask == value for name, value, mask in self.tests)


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge: flows by table with the highest priority first, groups and ports by number."""

    tables: Mapping[int, tuple[RankedFlow, ...]]
    groups: Mapping[int, Group]
    ports: Mapping[int, PortBehind]


@dataclass(frozen=True, slots=True)
class Network:
    """Every node's bridges, by node and name, and the underlay that joins them."""

    bridges: Mapping[tuple[str, str], Bridge]
    nodes: Mapping[str, NodeIdentity]
    underlay: Underlay

    def pod_port(self, pod: str) -> Port:
        """Return the port that a Pod hangs on.

        Args:
            pod: `namespace/name`.

        Raises:
            UsageError: no such Pod runs.
        """
        for (node, bridge), held in self.bridges.items():
            for place, behind in held.ports.items():
                if behind.kind is PortKind.POD and behind.pod == pod:
                    return Port(node, bridge, place)
        raise UsageError(f"no Pod {pod} runs on any node", fix="name it as namespace/name")

    def gateway_port(self, node: str) -> Port:
        """Return the port that a node's own packets to Pods and Services come in by."""
        return Port(node, INTEGRATION_BRIDGE, OFPP_LOCAL)

    def port_of_kind(self, node: str, kind: PortKind) -> Port | None:
        """Return a node's tunnel port or uplink, or None where it has none."""
        for (name, bridge), held in sorted(self.bridges.items()):
            for place, behind in held.ports.items():
                if name == node and behind.kind is kind:
                    return Port(name, bridge, place)
        return None

    def node_at(self, address: IPAddress) -> str | None:
        """Return the node that has an address on the underlay."""
        return next((name for name, node in self.nodes.items() if node.address == address), None)


def network_of(
    programs: Iterable[NodeProgram], nodes: Mapping[str, NodeIdentity], underlay: Underlay
) -> Network:
    """Put the programs of all nodes together.

    Args:
        programs: one for each node.
        nodes: their identities, by name.
        underlay: the plan of what joins them.
    """
    bridges = {}
    for program in programs:
        for name in (INTEGRATION_BRIDGE, UPLINK_BRIDGE):
            bridges[program.node, name] = _bridge(program, name)
    return Network(bridges, nodes, underlay)


def across_underlay(network: Network, sender: str, packet: Packet) -> tuple[str, Packet] | str:
    """Carry a frame that left a node's uplink to where it comes in.

    Switches deliver by MAC within a segment. What goes to the segment's router is routed to the node whose
    podCIDR or address it is for; each router on the way decrements the TTL.

    Returns:
        The receiving node and the frame as it gets there, or why it gets nowhere.
    """
    here = network.underlay.nodes[sender]
    mac = packet.fields["eth_dst"]
    for node in network.underlay.nodes.values():
        if number(node.mac) == mac and node.segment == here.segment and node is not here:
            return node.node, packet
    if not here.gateway_mac or number(here.gateway_mac) != mac:
        return "nobody on the underlay's segment has the destination MAC"
    owner = _owner_of(network, IPv4Address(packet.fields["ipv4_dst"]))
    if owner is None:
        return "the underlay's routers have no route to the destination"
    there = network.underlay.nodes[owner]
    ttl = packet.ttl - _routers_between(network.underlay, here, there)
    if ttl <= 0:
        return "the TTL ran out at a router of the underlay"
    eth = {"eth_src": number(there.gateway_mac), "eth_dst": number(there.mac)}
    return owner, packet.with_fields(nw_ttl=ttl, **eth)


def _owner_of(network: Network, address: IPAddress) -> str | None:
    for name, node in network.nodes.items():
        if address == node.address or any(address in block for block in node.pod_cidrs):
            return name
    return None


def _routers_between(underlay: Underlay, here: NodeAttachment, there: NodeAttachment) -> int:
    """Return how many routers lie on the way, the leaf routers of both nodes included."""
    routers = {router.name: router for router in underlay.routers}
    holders = {port.address: router.name for router in underlay.routers for port in router.interfaces}
    current, passed = here.router, 1
    while current != there.router:
        current = holders[routers[current].towards[there.router][0].address]
        passed += 1
    return passed


def _bridge(program: NodeProgram, name: str) -> Bridge:
    tables = defaultdict[int, list[RankedFlow]](list)
    groups = {}
    for thing in program.objects():
        if isinstance(thing, Flow) and thing.bridge == name:
            tables[thing.table].append(RankedFlow(thing, _tests(thing)))
        elif isinstance(thing, Group) and thing.bridge == name:
            groups[thing.group_id] = thing
    ranked = {
        table: tuple(sorted(flows, key=lambda ranked: -ranked.flow.priority))
        for table, flows in sorted(tables.items())
    }
    return Bridge(ranked, groups, _ports(program, name))


def _ports(program: NodeProgram, bridge: str) -> Mapping[int, PortBehind]:
    by_name = {thing.name: thing for thing in program.objects() if isinstance(thing, OvsPort)}
    ports = {OFPP_LOCAL: PortBehind(PortKind.NODE)}
    for owner, things in program.owners.items():
        for thing in things:
            if isinstance(thing, OvsPort) and thing.bridge == bridge:
                ports[thing.ofport] = _behind(program.node, owner, thing, by_name)
    return ports


def _behind(node: str, owner: str, port: OvsPort, by_name: Mapping[str, OvsPort]) -> PortBehind:
    if port.type == "patch":
        peer = by_name[dict(port.options)["peer"]]
        return PortBehind(PortKind.PATCH, peer=Port(node, peer.bridge, peer.ofport))
    if port.type:
        return PortBehind(PortKind.TUNNEL)
    if owner.startswith("Pod/"):
        return PortBehind(PortKind.POD, pod=owner.removeprefix("Pod/"))
    return PortBehind(PortKind.UPLINK)


def _tests(flow: Flow) -> tuple[FieldTest, ...]:
    return tuple(_test(name, value) for name, value in flow.match.fields)


def _test(name: str, value: MatchValue) -> FieldTest:
    if isinstance(value, tuple):
        mask = number(value[1])
        return name, number(value[0]) & mask, mask
    return name, number(value), _ALL_BITS
