"""The vocabulary of the kernel's own networking: links, addresses, routes, neighbours, sysctls.

Each object's text is the line that `ip` or `bridge` takes in batch mode; `drivers.iproute` carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.inet import IPAddress, IPNetwork, MacAddress


@dataclass(frozen=True, slots=True)
class Bridge:
    """A Linux bridge of the node, up.

    Its MTU is set after it was made: one given to `link add` gives way to that of its ports.
    """

    interface: str
    mtu_bytes: int
    mac: MacAddress

    @property
    def key(self) -> str:
        return f"link {self.interface}"

    def text(self) -> str:
        link = f"link add {self.interface} address {self.mac} type bridge"
        return f"{link}\nlink set {self.interface} mtu {self.mtu_bytes} up"


@dataclass(frozen=True, slots=True)
class BridgePort:
    """An interface that is a port of a Linux bridge; with `hairpin`, frames may go out where they came in."""

    bridge: str
    interface: str
    hairpin: bool = False

    @property
    def key(self) -> str:
        return f"bridge port {self.interface}"

    def text(self) -> str:
        hairpin = "on" if self.hairpin else "off"
        enslave = f"link set {self.interface} master {self.bridge}"
        return f"{enslave}\nlink set {self.interface} type bridge_slave hairpin {hairpin}"


@dataclass(frozen=True, slots=True)
class VxlanLink:
    """A VTEP of the kernel, up, that learns nothing: `ForwardingEntry` says who is behind which peer."""

    interface: str
    vni: int
    underlying: str
    local: IPAddress
    udp_port: int
    mtu_bytes: int
    mac: MacAddress

    @property
    def key(self) -> str:
        return f"link {self.interface}"

    def text(self) -> str:
        link = f"link add {self.interface} mtu {self.mtu_bytes} address {self.mac}"
        tunnel = f"type vxlan id {self.vni} dev {self.underlying} local {self.local} dstport {self.udp_port}"
        return f"{link} {tunnel} nolearning\nlink set {self.interface} up"


@dataclass(frozen=True, slots=True)
class ForwardingEntry:
    """A permanent entry of a VTEP's forwarding database: the peer node behind which a MAC is."""

    interface: str
    mac: MacAddress
    destination: IPAddress

    @property
    def key(self) -> str:
        return f"fdb {self.interface} {self.mac}"

    def text(self) -> str:
        return f"fdb replace {self.mac} dev {self.interface} dst {self.destination} self permanent"


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


Link = LinkSetting | Bridge | VxlanLink
"""What a node has one of by each name."""

KernelObject = Link | BridgePort | InterfaceAddress | Neighbour | Route | ForwardingEntry | Sysctl
"""What `drivers.iproute` carries out."""


@dataclass(frozen=True, slots=True)
class PodInterface:
    """What a Pod's eth0 is given: addresses with prefix lengths, and a gateway of each family.

    `routes` are destinations beside the default that lead through the gateway of their family.

    With a `gateway_mac` the Pod knows its gateways' MAC for good and asks nobody. The kernel counts
    neighbours that it has learnt over all namespaces together and refuses more than
    net.ipv4.neigh.default.gc_thresh3, 1024 by default; permanent ones it does not count.
    """

    pod: str
    addresses: tuple[tuple[IPAddress, int], ...]
    gateways: tuple[IPAddress, ...]
    gateway_mac: str = ""
    routes: tuple[IPNetwork, ...] = ()

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
            own = [network for network in self.routes if network.version == gateway.version]
            lines += [f"route add {network} via {gateway} dev eth0" for network in own]
        return tuple(lines)
