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
