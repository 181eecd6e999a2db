"""What a switch says it holds, as flows and groups of the program vocabulary: the inverse of `encode`.

Open vSwitch reports a flow in its own words (a COPY_FIELD for a move, a RegLoad for a set_field, masks that
are all ones left out). Decoding brings both sides to one form, so that observed and desired compare by
value.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

import controllers.ryu_compat  # noqa: F401 - must come before Ryu

from ryu.ofproto import ofproto_v1_5_parser as parser

from controllers.encode import NAMED_PORTS
from testbed.dataplanes import openflow

Decoded = Any  # an action, bucket or reply of Ryu, which has no types
_PORT_NAMES = {number: name for name, number in NAMED_PORTS.items()}


_UNNAMED = "field_"
_PACKET_REGISTERS_CLASS = 0x8001
_ALL_BITS = base64.b64encode(b"\xff" * 8).decode()


class UnknownEntryError(ValueError):
    """A switch holds something that the testbed never writes."""


def decode_flow(bridge: str, stats: Decoded) -> openflow.Flow:
    """Return the flow that a flow description stands for.

    Raises:
        UnknownEntryError: it has an action the testbed never writes.
    """
    return openflow.Flow(
        bridge,
        stats.table_id,
        stats.priority,
        openflow.Match(tuple(sorted(_plain_match(dict(stats.match.items()))))),
        tuple(_instructions(stats.instructions)),
        stats.cookie,
    )


def decode_group(bridge: str, stats: Decoded) -> openflow.Group:
    """Return the group that a group description stands for, without its hash fields (Ryu drops them)."""
    return openflow.Group(bridge, stats.group_id, tuple(_bucket(bucket) for bucket in stats.buckets))


def _plain_match(fields: dict[str, Any]) -> Iterable[tuple[str, openflow.MatchValue]]:  # Any: Ryu's values
    for name, value in fields.items():
        if name.startswith(_UNNAMED):
            yield from _registers(int(name.removeprefix(_UNNAMED)), value)
        else:
            yield name, tuple(value) if isinstance(value, list | tuple) else value


def _registers(header: int, value: Any) -> Iterable[tuple[str, openflow.MatchValue]]:  # Any: Ryu's value
    """Split a 64-bit packet register of OpenFlow 1.5, which Ryu does not know, into the two it stands for.

    Raises:
        UnknownEntryError: it is another field.
    """
    if header >> 7 != _PACKET_REGISTERS_CLASS:
        raise UnknownEntryError(f"match field {header:#x}")
    both = value if isinstance(value, list | tuple) else (value, _ALL_BITS)
    wide, mask = (int.from_bytes(base64.b64decode(text), "big") for text in both)
    number = 2 * (header & 0x7F)
    for half, shift in ((number, 32), (number + 1, 0)):
        half_mask = mask >> shift & 0xFFFFFFFF
        half_value = wide >> shift & 0xFFFFFFFF
        if half_mask:
            yield f"reg{half}", half_value if half_mask == 0xFFFFFFFF else (half_value, half_mask)


def _instructions(instructions: Iterable[Decoded]) -> Iterable[openflow.Action]:
    goto = []
    for instruction in instructions:
        if isinstance(instruction, parser.OFPInstructionGotoTable):
            goto.append(openflow.GotoTable(instruction.table_id))
        elif isinstance(instruction, parser.OFPInstructionActions):
            yield from map(decode_action, instruction.actions)
        else:
            raise UnknownEntryError(f"instruction {type(instruction).__name__}")
    yield from goto


def _bucket(bucket: Decoded) -> openflow.Bucket:
    weights = [part.weight for part in bucket.properties if isinstance(part, parser.OFPGroupBucketPropWeight)]
    actions = tuple(map(decode_action, bucket.actions))
    return openflow.Bucket(bucket.bucket_id, weights[0] if weights else 1, actions)


def decode_action(action: Decoded) -> openflow.Action:
    """Return an action of the vocabulary.

    Raises:
        UnknownEntryError: the testbed never writes such an action.
    """
    for kind, decoder in _DECODERS.items():
        if isinstance(action, kind):
            return decoder(action)
    raise UnknownEntryError(f"action {type(action).__name__}")


def _set_field(action: Decoded) -> openflow.Action:
    value = action.value
    if isinstance(value, list | tuple):
        return openflow.SetField(action.key, value[0], value[1])
    return openflow.SetField(action.key, value)


def _register_load(action: Decoded) -> openflow.Action:
    bits = (action.ofs_nbits & 0x3F) + 1
    first = action.ofs_nbits >> 6
    mask = ((1 << bits) - 1) << first
    return openflow.SetField(action.dst, action.value << first, None if bits == 32 else mask)


def _copy_field(action: Decoded) -> openflow.Action:
    source, destination = action.oxm_ids
    return openflow.Move(source.type, destination.type, action.n_bits)


def _output(action: Decoded) -> openflow.Action:
    return openflow.Output(_PORT_NAMES.get(action.port, action.port))


def _track(action: Decoded) -> openflow.Action:
    nats = [_nat(part) for part in action.actions if isinstance(part, parser.NXActionNAT)]
    return openflow.Track(
        zone=action.zone_ofs_nbits,
        table=None if action.recirc_table == 255 else action.recirc_table,
        is_commit=bool(action.flags & 1),
        nat=nats[0] if nats else None,
    )


def _nat(action: Decoded) -> openflow.Nat:
    if not action.flags:
        return openflow.Nat()
    address = ip_address(action.range_ipv4_min) if action.range_ipv4_min else None
    return openflow.Nat("src" if action.flags & 1 else "dst", address, action.range_proto_min or None)


_DECODERS: dict[type, Callable[[Decoded], openflow.Action]] = {
    parser.OFPActionSetField: _set_field,
    parser.NXActionRegLoad: _register_load,
    parser.OFPActionCopyField: _copy_field,
    parser.OFPActionDecNwTtl: lambda _action: openflow.DecrementTtl(),
    parser.OFPActionOutput: _output,
    parser.NXActionOutputReg: lambda action: openflow.OutputRegister(action.src),
    parser.NXActionOutputReg2: lambda action: openflow.OutputRegister(action.src),
    parser.OFPActionGroup: lambda action: openflow.SelectGroup(action.group_id),
    parser.NXActionCT: _track,
}
