"""The tables of the pipeline as data: numbers, registers, zones, well-known addresses and cookies.

One place for every number that two tables, or a table and a person reading `ovs-ofctl dump-flows`, must agree
on. docs/pipeline.md explains each table and is checked against `TABLES` by a test.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from testbed.inet import MacAddress

INTEGRATION_BRIDGE = "br-int"
"""Holds Pods, the tunnel port, the gateway port (its LOCAL port) and the patch to the uplink bridge."""
UPLINK_BRIDGE = "br-phy"
"""Holds the node's uplink; its LOCAL port has the node's address."""
BRIDGES = (INTEGRATION_BRIDGE, UPLINK_BRIDGE)


class Table(IntEnum):
    """Tables of br-int, in the order a packet meets them. Gaps are room for features to come."""

    CLASSIFIER = 0
    SPOOF_GUARD = 10
    ARP_RESPONDER = 15
    CONNTRACK = 20
    CONNTRACK_ZONE = 21
    CONNTRACK_STATE = 22
    SERVICE = 30
    COMMIT = 45
    HAIRPIN = 50
    L3_FORWARD = 70
    OUTPUT = 90


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a table decides, what it looks at, and what becomes of a packet that no flow matches."""

    table: Table
    purpose: str
    matches: str
    miss: str


TABLES = (
    TableSpec(
        Table.CLASSIFIER,
        "marks in reg0 where the packet comes from: tunnel, gateway, Pod or uplink",
        "in_port, eth_type, tunnel_id",
        "drop",
    ),
    TableSpec(
        Table.SPOOF_GUARD,
        "lets a Pod send from its own addresses and MAC only (RFC 2827, at the first hop)",
        "in_port, eth_src, ipv4_src or arp_spa and arp_sha, arp_tpa",
        "drop",
    ),
    TableSpec(
        Table.ARP_RESPONDER,
        "answers every ARP request that passed the guard with the virtual router's MAC",
        "arp_op",
        "drop",
    ),
    TableSpec(
        Table.CONNTRACK,
        "sends replies to a hairpin connection through the hairpin zone first, all else to the main zone",
        "ipv4_dst",
        "drop",
    ),
    TableSpec(
        Table.CONNTRACK_ZONE,
        "looks the packet up in the main zone and undoes its translation",
        "eth_type",
        "drop",
    ),
    TableSpec(
        Table.CONNTRACK_STATE,
        "drops invalid packets; lets tracked connections skip the Service table",
        "ct_state",
        "drop",
    ),
    TableSpec(
        Table.SERVICE,
        "new connections to a Service: a select group picks a backend and binds the connection to it; "
        "no backend or no such port: to the controller, which refuses it",
        "ip_proto, ipv4_dst, tcp_dst, udp_dst or sctp_dst",
        "drop",
    ),
    TableSpec(Table.COMMIT, "records a new connection that is not to a Service", "eth_type", "drop"),
    TableSpec(
        Table.HAIRPIN,
        "a Pod that reached itself through a Service: hides its address, so that the reply comes back here",
        "in_port, ipv4_src, ipv4_dst",
        "drop",
    ),
    TableSpec(
        Table.L3_FORWARD,
        "picks the port of the destination (Pod, gateway, tunnel or uplink), rewrites MACs, decrements TTL",
        "in_port, ipv4_dst",
        "drop",
    ),
    TableSpec(Table.OUTPUT, "sends the packet out of the port in reg2", "reg0", "drop"),
)


class UplinkTable(IntEnum):
    """Tables of br-phy."""

    SWITCH = 0


SOURCE_REGISTER = "reg0"
OUTPUT_REGISTER = "reg2"


class Source(IntEnum):
    """Values of reg0[0..3]: where a packet came from."""

    TUNNEL = 1
    GATEWAY = 2
    POD = 3
    UPLINK = 4


SOURCE_MASK = 0xF
HAIRPIN_MARK = 0x10
"""Bit of reg0: send the packet back out of the port it came in by."""

MAIN_ZONE = 1
HAIRPIN_ZONE = 2

CT_ESTABLISHED = (0x22, 0x22)
CT_RELATED = (0x24, 0x24)
CT_INVALID = (0x30, 0x30)
CT_NEW = (0x21, 0x21)
"""(value, mask) of ct_state: bit 0 new, 1 established, 2 related, 4 invalid, 5 tracked (ovs-fields(7))."""

ETH_IPV4 = 0x0800
ETH_ARP = 0x0806

VIRTUAL_ROUTER_MAC = MacAddress("0e:00:00:00:00:01")
"""What every Pod sees as its router's MAC, on every node alike."""
HAIRPIN_ADDRESS = "169.254.0.253"
"""Link-local source that a Pod sees when it reached itself through a Service (RFC 3927: never forwarded)."""
TUNNEL_KEY = 1
"""VNI of the overlay."""

TUNNEL_PORT = 1
PATCH_PORT = 2
FIRST_POD_PORT = 16
"""OpenFlow port numbers of br-int: a Pod's is FIRST_POD_PORT plus its number on the node."""
UPLINK_PORT = 1
UPLINK_PATCH_PORT = 2
"""OpenFlow port numbers of br-phy."""


def pod_port(number: int) -> int:
    """Return the OpenFlow port of the Pod with this number on its node."""
    return FIRST_POD_PORT + number


def datapath_id(node_index: int, bridge: str) -> int:
    """Return the datapath id of a node's bridge: the node's index and, in the low octet, which bridge."""
    return node_index << 8 | (BRIDGES.index(bridge) + 1)


_COOKIE_MAGIC = 0x7B


def owner_cookie(owner: str) -> int:
    """Return the cookie of an owner's flows: an octet that marks them as ours, then 56 bits of a hash."""
    digest = hashlib.blake2b(owner.encode(), digest_size=7).digest()
    return _COOKIE_MAGIC << 56 | int.from_bytes(digest, "big")


def is_own_cookie(cookie: int) -> bool:
    """Whether a flow's cookie marks it as the testbed's."""
    return cookie >> 56 == _COOKIE_MAGIC
