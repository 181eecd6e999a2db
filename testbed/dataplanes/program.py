"""The vocabulary of programs: typed kernel and Open vSwitch state, and the difference between two programs.

A program is a set of objects, each with an identity (`key`) and a text as the mechanism's own tools write it.
Programs are kept per owner (the Kubernetes object they serve), so a change costs what the change is worth.
Pure; drivers apply, `controllers.pipeline` and `network/`, `proxy/` produce.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from testbed.inet import IPAddress, IPNetwork, MacAddress


class ProgramObject(Protocol):
    """What every object of a program can do."""

    @property
    def key(self) -> str:
        """Identity on its node: two objects with one key cannot both exist."""

    def text(self) -> str:
        """The object as the mechanism's own tool would write it, on one line."""


# --- Linux -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """An address on an interface of the node."""

    interface: str
    address: IPAddress
    prefix_length: int

    @property
    def key(self) -> str:
        return f"address {self.interface} {self.address}/{self.prefix_length}"

    def text(self) -> str:
        return f"addr replace {self.address}/{self.prefix_length} dev {self.interface}"


@dataclass(frozen=True, slots=True)
class LinkSetting:
    """MTU, MAC and state of an interface of the node. `mac` is empty where it keeps its own."""

    interface: str
    mtu_bytes: int
    mac: str = ""

    @property
    def key(self) -> str:
        return f"link {self.interface}"

    def text(self) -> str:
        mac = f" address {self.mac}" if self.mac else ""
        return f"link set {self.interface} mtu {self.mtu_bytes}{mac} up"


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the node's main table. `gateway` is None for a directly connected destination."""

    destination: IPNetwork
    interface: str
    gateway: IPAddress | None = None
    source: IPAddress | None = None
    is_onlink: bool = False

    @property
    def key(self) -> str:
        return f"route {self.destination}"

    def text(self) -> str:
        via = f" via {self.gateway}" if self.gateway else ""
        src = f" src {self.source}" if self.source else ""
        onlink = " onlink" if self.is_onlink else ""
        return f"route replace {self.destination}{via} dev {self.interface}{src}{onlink}"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent neighbour entry: an address whose MAC is known without asking."""

    interface: str
    address: IPAddress
    mac: MacAddress

    @property
    def key(self) -> str:
        return f"neighbour {self.interface} {self.address}"

    def text(self) -> str:
        return f"neigh replace {self.address} lladdr {self.mac} dev {self.interface} nud permanent"


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A sysctl of the node's network namespace, by its path below /proc/sys."""

    path: str
    value: str

    @property
    def key(self) -> str:
        return f"sysctl {self.path}"

    def text(self) -> str:
        return f"sysctl {self.path}={self.value}"


@dataclass(frozen=True, slots=True)
class PodInterface:
    """What a Pod's eth0 is given: addresses with prefix lengths, and a gateway of each family.

    With a `gateway_mac` the Pod knows its gateways' MAC for good and asks nobody. The kernel counts
    neighbours that it has learnt over all namespaces together and refuses more than
    net.ipv4.neigh.default.gc_thresh3, 1024 by default; permanent ones it does not count.
    """

    pod: str
    addresses: tuple[tuple[IPAddress, int], ...]
    gateways: tuple[IPAddress, ...]
    gateway_mac: str = ""

    @property
    def key(self) -> str:
        return f"pod {self.pod}"

    def text(self) -> str:
        return f"pod {self.pod}: {'; '.join(self.lines())}"

    def lines(self) -> tuple[str, ...]:
        """The commands of `ip -batch` that set it up."""
        lines = ["link set eth0 up"]
        lines += [f"addr add {address}/{length} dev eth0" for address, length in self.addresses]
        for gateway in self.gateways:
            if self.gateway_mac:
                lines.append(f"neigh add {gateway} lladdr {self.gateway_mac} dev eth0 nud permanent")
            lines.append(f"route add default via {gateway} dev eth0 onlink")
        return tuple(lines)


# --- Open vSwitch ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OvsBridge:
    """A bridge of the node's Open vSwitch."""

    name: str
    datapath_id: int
    mac: MacAddress

    @property
    def key(self) -> str:
        return f"bridge {self.name}"

    def text(self) -> str:
        return (
            f"add-br {self.name} other_config:datapath-id={self.datapath_id:016x}"
            f" other_config:hwaddr={self.mac} fail_mode=secure protocols=OpenFlow13,OpenFlow15"
        )


@dataclass(frozen=True, slots=True)
class OvsPort:
    """A port of a bridge. `type` is "" for a Linux interface, else patch, vxlan or geneve."""

    bridge: str
    name: str
    ofport: int
    type: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        return f"port {self.bridge} {self.name}"

    def text(self) -> str:
        options = "".join(f" options:{key}={value}" for key, value in self.options)
        kind = f" type={self.type}" if self.type else ""
        return f"add-port {self.bridge} {self.name} ofport_request={self.ofport}{kind}{options}"


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


# --- programs and their difference
# ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeProgram:
    """The state one node must have: objects by owner, an intent object's key or "node"."""

    node: str
    owners: Mapping[str, tuple[ProgramObject, ...]] = field(default_factory=dict)

    def objects(self) -> tuple[ProgramObject, ...]:
        """All objects, owners in sorted order, "node" first."""
        names = sorted(self.owners, key=lambda name: (name != "node", name))
        return tuple(thing for name in names for thing in self.owners[name])

    def text(self) -> str:
        """The whole program, a line an object, under a comment per owner."""
        lines = [f"# node {self.node}"]
        for name in sorted(self.owners, key=lambda name: (name != "node", name)):
            lines.append(f"## {name}")
            lines.extend(thing.text() for thing in self.owners[name])
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Difference:
    """What turns one set of objects into another: `replaced` holds the wanted form of what differs."""

    added: tuple[ProgramObject, ...]
    replaced: tuple[ProgramObject, ...]
    removed: tuple[ProgramObject, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.replaced or self.removed)


def difference(observed: Iterable[ProgramObject], desired: Iterable[ProgramObject]) -> Difference:
    """Return what must change for `observed` to become `desired`; objects compare by key, then by value."""
    have = {thing.key: thing for thing in observed}
    want = {thing.key: thing for thing in desired}
    return Difference(
        added=tuple(thing for key, thing in want.items() if key not in have),
        replaced=tuple(thing for key, thing in want.items() if key in have and have[key] != thing),
        removed=tuple(thing for key, thing in have.items() if key not in want),
    )
