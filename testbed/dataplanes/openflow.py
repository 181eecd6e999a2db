"""The OpenFlow part of the vocabulary: matches, actions, flows, buckets and groups, as ovs-ofctl writes them.

Field names are OXM names. `program` has the rest of the vocabulary, and the difference between programs.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.inet import IPAddress

MatchValue = int | str | tuple[int | str, int | str]
"""A value, or (value, mask). Addresses and MACs are strings, everything else integers."""


@dataclass(frozen=True, slots=True, order=True)
class Match:
    """An OpenFlow match: OXM field names to values, sorted by name."""

    fields: tuple[tuple[str, MatchValue], ...] = ()

    def text(self) -> str:
        """The match as ovs-ofctl writes it, with OXM names."""
        shown = []
        for name, value in self.fields:
            both = "/".join(_plain(part) for part in value) if isinstance(value, tuple) else _plain(value)
            shown.append(f"{name}={both}")
        return ",".join(shown)


def match(**fields: MatchValue) -> Match:
    """Build a match from OXM field names."""
    return Match(tuple(sorted(fields.items())))


@dataclass(frozen=True, slots=True)
class SetField:
    """Write a constant into a field; `mask` limits it to some bits."""

    field: str
    value: int | str
    mask: int | None = None

    def text(self) -> str:
        mask = "" if self.mask is None else f"/{_plain(self.mask)}"
        return f"set_field:{_plain(self.value)}{mask}->{self.field}"


@dataclass(frozen=True, slots=True)
class Move:
    """Copy a whole field into another of the same width."""

    source: str
    destination: str
    bits: int

    def text(self) -> str:
        return f"move:{self.source}[0..{self.bits - 1}]->{self.destination}[0..{self.bits - 1}]"


@dataclass(frozen=True, slots=True)
class DecrementTtl:
    """Decrement the IP TTL or hop limit; a packet whose TTL runs out is dropped."""

    def text(self) -> str:
        return "dec_ttl"


@dataclass(frozen=True, slots=True)
class Output:
    """Send the packet out of a port: a number, or IN_PORT, NORMAL, LOCAL or CONTROLLER."""

    port: int | str

    def text(self) -> str:
        return f"output:{self.port}" if isinstance(self.port, int) else self.port


@dataclass(frozen=True, slots=True)
class OutputRegister:
    """Send the packet out of the port whose number a register holds."""

    register: str

    def text(self) -> str:
        return f"output:{self.register}[0..15]"


@dataclass(frozen=True, slots=True)
class GotoTable:
    """Go on in a later table. Always the last action of a flow."""

    table: int

    def text(self) -> str:
        return f"goto_table:{self.table}"


@dataclass(frozen=True, slots=True)
class SelectGroup:
    """Hand the packet to one bucket of a group."""

    group_id: int

    def text(self) -> str:
        return f"group:{self.group_id}"


@dataclass(frozen=True, slots=True)
class Nat:
    """Address translation of a tracked connection.

    `kind` is "" to apply what the connection already has, "dst" or "src" to bind a new one to `address`
    (and `port`).
    """

    kind: str = ""
    address: IPAddress | None = None
    port: int | None = None

    def text(self) -> str:
        if not self.kind:
            return "nat"
        port = f":{self.port}" if self.port else ""
        return f"nat({self.kind}={self.address}{port})"


@dataclass(frozen=True, slots=True)
class Track:
    """Send the packet through connection tracking and go on in `table`, if any."""

    zone: int
    table: int | None = None
    is_commit: bool = False
    nat: Nat | None = None

    def text(self) -> str:
        parts = ["commit"] if self.is_commit else []
        parts.append(f"zone={self.zone}")
        if self.table is not None:
            parts.append(f"table={self.table}")
        if self.nat is not None:
            parts.append(self.nat.text())
        return f"ct({','.join(parts)})"


Action = SetField | Move | DecrementTtl | Output | OutputRegister | GotoTable | SelectGroup | Track


@dataclass(frozen=True, slots=True)
class Flow:
    """An OpenFlow flow of a bridge. No actions: drop. `cookie` names the owner."""

    bridge: str
    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...]
    cookie: int = 0

    @property
    def key(self) -> str:
        return f"flow {self.bridge} {self.table} {self.priority} {self.match.text()}"

    def text(self) -> str:
        actions = ",".join(action.text() for action in self.actions) or "drop"
        shown = f",{self.match.text()}" if self.match.fields else ""
        return (
            f"flow {self.bridge} cookie=0x{self.cookie:016x}, table={self.table}, "
            f"priority={self.priority}{shown} actions={actions}"
        )


@dataclass(frozen=True, slots=True)
class Bucket:
    """One choice of a select group."""

    bucket_id: int
    weight: int
    actions: tuple[Action, ...]

    def text(self) -> str:
        actions = ",".join(action.text() for action in self.actions)
        return f"bucket=bucket_id:{self.bucket_id},weight:{self.weight},actions={actions}"


@dataclass(frozen=True, slots=True)
class Group:
    """An OpenFlow select group: each connection goes to one bucket.

    The choice is by the datapath's own hash of the 5-tuple (selection method dp_hash), or, where
    `hash_fields` names OXM fields, by a hash over those (selection method hash).
    """

    bridge: str
    group_id: int
    buckets: tuple[Bucket, ...]
    hash_fields: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"group {self.bridge} {self.group_id}"

    def text(self) -> str:
        buckets = ",".join(bucket.text() for bucket in self.buckets)
        fields = f"hash,fields({','.join(self.hash_fields)})" if self.hash_fields else "dp_hash"
        head = f"group {self.bridge} group_id={self.group_id},type=select"
        return f"{head},selection_method={fields},{buckets}"


def _plain(value: int | str) -> str:
    if isinstance(value, str):
        return value
    return str(value) if value < 10 else hex(value)
