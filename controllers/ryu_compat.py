"""Everything that keeps Ryu 4.34, which nobody maintains, running on today's Python and eventlet.

Import this before any module of Ryu, and before anything that uses sockets or threads. Five mends:

- eventlet is patched in first, once (Ryu does it late, and again);
- `eventlet.wsgi.ALREADY_HANDLED` left eventlet in 0.30.3; Ryu's WSGI module looks for it on import;
- `NXAction.serialize` rounds its length up to a multiple of eight but leaves the padding out, so Open vSwitch
  refuses ct(nat(...)) in a group bucket;
- the parsers of group descriptions, buckets and COPY_FIELD read past the end of the structure;
- `Datapath` sets TCP_NODELAY, which a unix socket refuses.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # eventlet says that it is on its way out; so is Ryu
    import eventlet

eventlet.monkey_patch()

import eventlet.wsgi  # noqa: E402 - after the patch

if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
    eventlet.wsgi.ALREADY_HANDLED = ()

import struct  # noqa: E402 - after the patch
from collections.abc import Sequence  # noqa: E402 - after the patch
from typing import Any  # noqa: E402 - after the patch

from ryu import cfg  # noqa: E402 - after the patch
from ryu.ofproto import ofproto_v1_5, ofproto_v1_5_parser  # noqa: E402 - after the patch


def _pad_nicira_actions(parser: Any) -> None:  # Any: a module of Ryu, which has no types
    plain = parser.NXAction.serialize

    def serialize(action: Any, buffer: bytearray, offset: int) -> None:  # Any: an action of Ryu
        plain(action, buffer, offset)
        missing = offset + action.len - len(buffer)
        if missing > 0:
            buffer += bytes(missing)

    parser.NXAction.serialize = serialize


def _read_copied_fields_alone(parser: Any) -> None:  # Any: a module of Ryu
    size = ofproto_v1_5.OFP_ACTION_COPY_FIELD_SIZE

    def parse(cls: Any, buffer: bytes, offset: int) -> Any:  # Any: as Ryu has it
        layout = ofproto_v1_5.OFP_ACTION_COPY_FIELD_PACK_STR
        _, length, bits, source_offset, destination_offset = struct.unpack_from(layout, buffer, offset)
        source, rest = parser.OFPOxmId.parse(buffer[offset + size : offset + length])
        destination, _padding = parser.OFPOxmId.parse(rest)
        action = cls(bits, source_offset, destination_offset, [source, destination])
        action.len = length
        return action

    parser.OFPActionCopyField.parser = classmethod(parse)


def _bound_parser(structure: Any, length_format: str) -> None:  # Any: a class of Ryu
    plain = structure.parser.__func__

    def parse(cls: Any, buffer: bytes, offset: int) -> Any:  # Any: as Ryu has it
        (length,) = struct.unpack_from(length_format, buffer, offset)
        return plain(cls, buffer[: offset + length], offset)

    structure.parser = classmethod(parse)


_pad_nicira_actions(ofproto_v1_5_parser)
_read_copied_fields_alone(ofproto_v1_5_parser)
_bound_parser(ofproto_v1_5_parser.OFPBucket, "!H")
_bound_parser(ofproto_v1_5_parser.OFPGroupDescStats, "!H")


class UnixStream:
    """A connected unix stream socket in the shape that Ryu's Datapath expects of a TCP one."""

    def __init__(self, stream: Any) -> None:  # Any: eventlet's green socket, which has no types
        self._stream = stream

    def setsockopt(self, *_arguments: object) -> None:
        """Ignore TCP options."""

    def getpeername(self) -> tuple[str, int]:
        """Return the placeholder that Ryu logs."""
        return ("unix", 0)

    def __getattr__(self, name: str) -> Any:  # Any: whatever the socket has under that name
        return getattr(self._stream, name)


def configure(arguments: Sequence[str] = ()) -> None:
    """Set Ryu's configuration without reading files or the command line."""
    cfg.CONF(args=list(arguments), project="ryu", default_config_files=[])
