"""Table SERVICE: ClusterIPs. One select group and one flow per port, one flow that refuses every other port.

A Service looks the same on every node, so its flows and groups are rendered once for all of them.
"""

from __future__ import annotations

from controllers.pipeline.flows import goto, ip_flow
from controllers.pipeline.tables import INTEGRATION_BRIDGE, MAIN_ZONE, Table
from testbed.dataplanes.openflow import (
    Action,
    Bucket,
    Flow,
    Group,
    MatchValue,
    Nat,
    Output,
    SelectGroup,
    Track,
)
from testbed.dataplanes.program import NODE_OWNER
from testbed.inet import IP_PROTOCOL_NUMBER, Protocol
from testbed.intent import Backend, NodeIdentity, ServiceForward, ServicePortForward

SOURCE_PORT_FIELD = {Protocol.TCP: "tcp_src", Protocol.UDP: "udp_src", Protocol.SCTP: "sctp_src"}
PORT_FIELD = {Protocol.TCP: "tcp_dst", Protocol.UDP: "udp_dst", Protocol.SCTP: "sctp_dst"}
REFUSE: tuple[Action, ...] = (Output("CONTROLLER"),)
"""The controller answers with a TCP RST, or an ICMP port unreachable (RFC 1122 section 3.2.2.1)."""

HASH_SLOTS = 256
"""Open vSwitch's select groups spread over at most 256 hash values (MAX_SELECT_GROUP_HASH_VALUES)."""
HASHED_BACKENDS_MAX = 32
"""Beyond this many backends 256 hash values spread too unevenly; the group then hashes over fields."""

_SLOT_BITS = 12


def group_id(service: ServiceForward, port: ServicePortForward) -> int:
    """Return the group of one port: the Service's number and, in the low bits, the port's slot.

    A serviceCIDR holds at most 2**20 addresses (kube-apiserver's own limit), which leaves 12 bits for slots.
    """
    return (service.number << _SLOT_BITS | port.slot) + 1


def node_service(node: NodeIdentity) -> tuple[Flow, ...]:
    """Return the flows for what is no Service's: record other connections, drop unallocated ClusterIPs."""
    flows = [ip_flow(NODE_OWNER, Table.SERVICE, 0, (goto(Table.COMMIT),))]
    for network in node.service_cidrs:
        if network.version == 4:
            flows.append(
                ip_flow(
                    NODE_OWNER,
                    Table.SERVICE,
                    10,
                    (),
                    ipv4_dst=(str(network.network_address), str(network.netmask)),
                )
            )
    return tuple(flows)


def service_entries(service: ServiceForward) -> tuple[Flow | Group, ...]:
    """Return the groups and flows of a Service's IPv4 addresses."""
    entries: list[Flow | Group] = []
    for address in service.addresses:
        if address.version == 4:
            # kube-proxy's nftables mode rejects a port that an allocated ClusterIP does not have.
            entries.append(ip_flow(service.key, Table.SERVICE, 100, REFUSE, ipv4_dst=str(address)))
    for port in service.ports:
        if port.address.version == 4:
            entries.extend(_port_entries(service, port))
    return tuple(entries)


def _port_entries(service: ServiceForward, port: ServicePortForward) -> tuple[Flow | Group, ...]:
    fields: dict[str, MatchValue] = {
        "ip_proto": IP_PROTOCOL_NUMBER[port.protocol],
        "ipv4_dst": str(port.address),
        PORT_FIELD[port.protocol]: port.port,
    }
    if not port.backends:
        return (ip_flow(service.key, Table.SERVICE, 200, REFUSE, **fields),)
    number = group_id(service, port)
    is_large = len(port.backends) > HASHED_BACKENDS_MAX
    hash_fields = ("ipv4_src", SOURCE_PORT_FIELD[port.protocol]) if is_large else ()
    return (
        Group(INTEGRATION_BRIDGE, number, spread(port.backends), hash_fields),
        ip_flow(service.key, Table.SERVICE, 200, (SelectGroup(number),), **fields),
    )


def spread(backends: tuple[Backend, ...]) -> tuple[Bucket, ...]:
    """Return buckets that share new connections evenly over backends.

    Open vSwitch deals its hash values out over the buckets, as many values as the smallest weight goes into
    the sum of all weights, rounded up to a power of two (ofproto-dpif.c, group_setup_dp_hash_table). Ten
    equal buckets would get 16 values: six get two, four get one. So one backend is split in two buckets,
    the smaller just small enough that all 256 values are dealt out; then shares differ by one value at
    most.
    """
    count = len(backends)
    weight = HASH_SLOTS
    is_even = count & (count - 1) == 0
    if is_even or count > HASHED_BACKENDS_MAX:
        return tuple(_bucket(number, weight, backend) for number, backend in enumerate(backends, start=1))
    first, *others = backends
    split = (_bucket(1, weight - count, first),)
    whole = tuple(_bucket(number, weight, backend) for number, backend in enumerate(others, start=2))
    return (*split, *whole, _bucket(count + 1, count, first))


def _bucket(number: int, weight: int, backend: Backend) -> Bucket:
    bind = Nat("dst", backend.address, backend.port)
    return Bucket(number, weight, (Track(MAIN_ZONE, int(Table.HAIRPIN), is_commit=True, nat=bind),))
