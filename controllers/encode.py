"""Flows and groups of the program vocabulary to OpenFlow 1.5 messages, through Ryu's serialisers.

A message is serialised once, with a transaction id of its own, and the same bytes go to every switch that
needs it. Serialising dominates the cost of a large update: 1,000 Services on 10 nodes take a tenth of the
time this way.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any

import controllers.ryu_compat  # noqa: F401 - must come before Ryu

from ryu.ofproto import ofproto_protocol, ofproto_v1_5
from ryu.ofproto import ofproto_v1_5_parser as parser

from testbed.dataplanes import openflow

SWITCH = ofproto_protocol.ProtocolDesc(version=ofproto_v1_5.OFP_VERSION)
"""Stands in for a datapath while a message is serialised: the bytes depend on the version alone."""

Encoded = Any  # a Ryu action or message: Ryu has no types
NAMED_PORTS = {
    "IN_PORT": ofproto_v1_5.OFPP_IN_PORT,
    "LOCAL": ofproto_v1_5.OFPP_LOCAL,
    "NORMAL": ofproto_v1_5.OFPP_NORMAL,
    "CONTROLLER": ofproto_v1_5.OFPP_CONTROLLER,
}
_CT_COMMIT = 1
_NO_RECIRCULATION = 255
_NAT_SOURCE, _NAT_DESTINATION = 1, 2
_RST_PREFIX_BYTES = 128
"""How much of a refused packet the controller sees: any IP and TCP header, and 28 octets to quote."""


@dataclass(frozen=True, slots=True)
class Message:
    """A serialised message: its bytes, its transaction id, and in words what it does (for errors)."""

    data: bytes
    xid: int
    about: str


def encode_flow(flow: openflow.Flow, xid: int, *, is_removal: bool = False) -> Message:
    """Return the message that adds a flow, or replaces its actions and cookie, or removes it."""
    command = ofproto_v1_5.OFPFC_DELETE_STRICT if is_removal else ofproto_v1_5.OFPFC_ADD
    actions = [] if is_removal else flow.actions
    message = parser.OFPFlowMod(
        SWITCH,
        cookie=flow.cookie,
        table_id=flow.table,
        command=command,
        priority=flow.priority,
        out_port=ofproto_v1_5.OFPP_ANY,
        out_group=ofproto_v1_5.OFPG_ANY,
        match=encode_match(flow.match),
        instructions=encode_instructions(actions),
    )
    return _serialised(message, xid, f"{'remove ' if is_removal else ''}{flow.text()}")


def encode_group(group: openflow.Group, xid: int, *, is_new: bool) -> Message:
    """Return the message that adds a group or replaces its buckets."""
    command = ofproto_v1_5.OFPGC_ADD if is_new else ofproto_v1_5.OFPGC_MODIFY
    buckets = [
        parser.OFPBucket(
            bucket_id=bucket.bucket_id,
            actions=[encode_action(action) for action in bucket.actions],
            properties=[
                parser.OFPGroupBucketPropWeight(
                    type_=ofproto_v1_5.OFPGBPT_WEIGHT, length=8, weight=bucket.weight
                )
            ],
        )
        for bucket in group.buckets
    ]
    message = parser.OFPGroupMod(
        SWITCH,
        command,
        ofproto_v1_5.OFPGT_SELECT,
        group.group_id,
        command_bucket_id=ofproto_v1_5.OFPG_BUCKET_ALL,
        buckets=buckets,
        properties=[SelectionMethod(group.hash_fields)],
    )
    return _serialised(message, xid, f"group {group.group_id} of {group.bridge}")


def encode_group_removal(group: openflow.Group, xid: int) -> Message:
    """Return the message that removes a group (and, by OpenFlow, every flow that still names it)."""
    message = parser.OFPGroupMod(
        SWITCH,
        ofproto_v1_5.OFPGC_DELETE,
        ofproto_v1_5.OFPGT_SELECT,
        group.group_id,
        command_bucket_id=ofproto_v1_5.OFPG_BUCKET_ALL,
    )
    return _serialised(message, xid, f"remove group {group.group_id} of {group.bridge}")


def encode_match(match: openflow.Match) -> Encoded:
    """Return a match as Ryu's."""
    return parser.OFPMatch(**dict(match.fields))


def encode_instructions(actions: Iterable[openflow.Action]) -> list[Encoded]:
    """Return instructions: apply the actions, then go to the table that the last of them names."""
    apply = [encode_action(action) for action in actions if not isinstance(action, openflow.GotoTable)]
    tables = [action.table for action in actions if isinstance(action, openflow.GotoTable)]
    instructions: list[Encoded] = []
    if apply:
        instructions.append(parser.OFPInstructionActions(ofproto_v1_5.OFPIT_APPLY_ACTIONS, apply))
    instructions.extend(parser.OFPInstructionGotoTable(table) for table in tables)
    return instructions


def encode_action(action: openflow.Action) -> Encoded:
    """Return an action as Ryu's."""
    return _ENCODERS[type(action)](action)


def _set_field(action: openflow.SetField) -> Encoded:
    value = action.value if action.mask is None else (action.value, action.mask)
    return parser.OFPActionSetField(**{action.field: value})


def _move(action: openflow.Move) -> Encoded:
    ends = [parser.OFPOxmId(action.source), parser.OFPOxmId(action.destination)]
    return parser.OFPActionCopyField(action.bits, oxm_ids=ends)


def _output(action: openflow.Output) -> Encoded:
    port = NAMED_PORTS[action.port] if isinstance(action.port, str) else action.port
    return parser.OFPActionOutput(port, _RST_PREFIX_BYTES)


def _output_register(action: openflow.OutputRegister) -> Encoded:
    return parser.NXActionOutputReg(ofs_nbits=_bits(0, 16), src=action.register, max_len=0)


class CopiedAction:
    """An action that is serialised already, in the shape in which Ryu takes actions."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.len = len(data)

    def serialize(self, buffer: bytearray, offset: int) -> None:
        """Write the action at an offset: the end of what is written, or a little further on."""
        buffer += bytes(max(0, offset - len(buffer)))  # Ryu packs a bucket's header after its actions
        buffer[offset:] = self._data


def _track(action: openflow.Track) -> Encoded:
    nat = action.nat
    if nat is None or nat.address is None or nat.port is None:
        return _serialisable_track(action)
    # A Service has one such action a backend. They differ in six octets, so Ryu serialises one of a kind.
    data, address_at, port_at = _binding(action.zone, action.table, action.is_commit, nat.kind)
    octets = bytearray(data)
    octets[address_at : address_at + 4] = nat.address.packed
    octets[port_at : port_at + 2] = nat.port.to_bytes(2, "big")
    return CopiedAction(bytes(octets))


@cache
def _binding(zone: int, table: int | None, is_commit: bool, kind: str) -> tuple[bytes, int, int]:
    """Return a serialised ct(nat(...)), and where in it the address and the port stand."""
    address, port = ip_address("198.51.100.213"), 0xBEEF
    action = _serialisable_track(openflow.Track(zone, table, is_commit, openflow.Nat(kind, address, port)))
    buffer = bytearray()
    action.serialize(buffer, 0)
    found = bytes(buffer)
    return found, found.index(address.packed), found.index(port.to_bytes(2, "big"))


def _serialisable_track(action: openflow.Track) -> Encoded:
    return parser.NXActionCT(
        flags=_CT_COMMIT if action.is_commit else 0,
        zone_src="",
        zone_ofs_nbits=action.zone,
        recirc_table=_NO_RECIRCULATION if action.table is None else action.table,
        alg=0,
        actions=[] if action.nat is None else [_nat(action.nat)],
    )


def _nat(nat: openflow.Nat) -> Encoded:
    if not nat.kind:
        return parser.NXActionNAT(flags=0)
    flags = _NAT_SOURCE if nat.kind == "src" else _NAT_DESTINATION
    return parser.NXActionNAT(flags=flags, range_ipv4_min=str(nat.address), range_proto_min=nat.port)


def _bits(first: int, count: int) -> int:
    return first << 6 | (count - 1)


_ENCODERS: dict[type, Callable[[Any], Encoded]] = {  # Any: each takes the one type it stands under
    openflow.SetField: _set_field,
    openflow.Move: _move,
    openflow.DecrementTtl: lambda _action: parser.OFPActionDecNwTtl(),
    openflow.Output: _output,
    openflow.OutputRegister: _output_register,
    openflow.SelectGroup: lambda action: parser.OFPActionGroup(action.group_id),
    openflow.Track: _track,
}


class SelectionMethod:
    """Open vSwitch's group property that says how a select group chooses (Netronome extension).

    Without fields: dp_hash over the datapath's 5-tuple hash (parameter 0: algorithm L4, basis 0). The
    default of a select group is a hash that leaves UDP ports out, which would send all of a client's UDP to
    one backend.
    """

    _EXPERIMENTER = 0xFFFF
    _NETRONOME = 0x0000154D
    _SELECTION_METHOD = 1

    def __init__(self, hash_fields: tuple[str, ...]) -> None:
        self._hash_fields = hash_fields

    def serialize(self) -> bytearray:
        """Return the property's bytes (struct ntr_group_prop_selection_method), padded to eight."""
        method = b"hash" if self._hash_fields else b"dp_hash"
        body = struct.pack("!I16sQ", 0, method, 0) + b"".join(map(self._field, self._hash_fields))
        head = struct.pack(
            "!HHII", self._EXPERIMENTER, 12 + len(body), self._NETRONOME, self._SELECTION_METHOD
        )
        return bytearray(head + body + bytes(-(len(head) + len(body)) % 8))

    @staticmethod
    def _field(name: str) -> bytes:
        header = bytearray()
        ofproto_v1_5.oxm_serialize_header(ofproto_v1_5.oxm_from_user_header(name), header, 0)
        width = header[3]
        return bytes(header) + b"\xff" * width


def _serialised(message: Encoded, xid: int, about: str) -> Message:
    message.set_xid(xid)
    message.serialize()
    return Message(bytes(message.buf), xid, about)
