"""What iproute2 shows of a namespace, as objects of a program. Reads only; `iproute` writes.

Three processes at most, one each of `ip`, `bridge` and `sysctl`, whatever is asked for. Routes are those
of IPv4's main table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Any

from testbed.dataplanes.linux import (
    Bridge,
    BridgePort,
    ForwardingEntry,
    InterfaceAddress,
    KernelObject,
    Link,
    LinkSetting,
    Neighbour,
    Route,
    Sysctl,
    VxlanLink,
)
from testbed.drivers.shell import run
from testbed.inet import MacAddress

Json = dict[str, Any]  # what iproute2 prints with -json

_NEED_INTERFACES = {LinkSetting, Bridge, VxlanLink, BridgePort, InterfaceAddress}
_NEED_DETAILS = {Bridge, VxlanLink, BridgePort}


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a namespace holds, as iproute2 prints it; parts that nobody asked for are empty."""

    interfaces: Mapping[str, Json]
    routes: Sequence[Json]
    neighbours: Sequence[Json]
    entries: Sequence[Json]
    sysctls: Mapping[str, str]

    def links(self, wanted: Iterable[KernelObject]) -> dict[str, Link]:
        """Return the links of the wanted names that exist, up or down, by name."""
        return {
            thing.interface: _link(self.interfaces[thing.interface], thing)
            for thing in wanted
            if isinstance(thing, Link) and thing.interface in self.interfaces
        }


def read(namespace: str, wanted: Iterable[KernelObject]) -> Kernel:
    """Read what the wanted kinds need: at most one process each of ip, bridge and sysctl."""
    wanted = tuple(wanted)
    kinds = {type(thing) for thing in wanted}
    shown = _shown_by_ip(namespace, kinds)
    entries: list[Json] = []
    if ForwardingEntry in kinds:
        entries = json.loads(run(["bridge", "-json", "fdb", "show"], namespace=namespace))
    return Kernel(
        interfaces={interface["ifname"]: interface for interface in shown.get("addr", ())},
        routes=shown.get("route", ()),
        neighbours=shown.get("neigh", ()),
        entries=entries,
        sysctls=_read_sysctls(namespace, [thing.path for thing in wanted if isinstance(thing, Sysctl)]),
    )


def _shown_by_ip(namespace: str, kinds: set[type[KernelObject]]) -> dict[str, list[Json]]:
    """Return what `ip -json` shows of what the kinds need, by its word: a JSON array a line."""
    needs = {"addr": bool(kinds & _NEED_INTERFACES), "route": Route in kinds, "neigh": Neighbour in kinds}
    asked = [word for word, is_needed in needs.items() if is_needed]
    if not asked:
        return {}
    details = ["-details"] if kinds & _NEED_DETAILS else []
    lines = "".join(f"{word} show\n" for word in asked)
    answer = run(["ip", "-json", *details, "-batch", "-"], namespace=namespace, stdin=lines)
    return {word: json.loads(line) for word, line in zip(asked, answer.splitlines(), strict=True)}


def _read_sysctls(namespace: str, paths: Sequence[str]) -> dict[str, str]:
    """Return the values of sysctls by path; those that the kernel does not know are left out."""
    if not paths:
        return {}
    shown = run(["sysctl", "-e", *paths], namespace=namespace)
    pairs = [line.split(" = ", 1) for line in shown.splitlines()]
    # sysctl writes dots for slashes, and slashes for the dots of an interface's name.
    return {key.translate({ord("."): "/", ord("/"): "."}): value for key, value in pairs}


def in_force(kernel: Kernel, wanted: Iterable[KernelObject]) -> tuple[KernelObject, ...]:
    """Return those of the wanted objects that are in force, as they are. A link that is down is not."""
    asked = {thing.key: thing for thing in wanted}
    seen = (
        *_links(kernel, asked.values()),
        *_bridge_ports(kernel),
        *_addresses(kernel),
        *_routes(kernel, asked.values()),
        *_neighbours(kernel),
        *_entries(kernel),
        *_sysctls(kernel, asked.values()),
    )
    return tuple(thing for thing in seen if thing.key in asked)


def _links(kernel: Kernel, wanted: Iterable[KernelObject]) -> list[Link]:
    return [link for name, link in kernel.links(wanted).items() if "UP" in kernel.interfaces[name]["flags"]]


def _link(interface: Json, asked: Link) -> Link:
    """Return a link as what is asked for, or, if it is not of that make, as its settings alone."""
    name, mtu, mac = interface["ifname"], interface["mtu"], interface.get("address", "")
    info = interface.get("linkinfo", {})
    kind, data = info.get("info_kind"), info.get("info_data", {})
    if isinstance(asked, Bridge) and kind == "bridge":
        return Bridge(name, mtu, mac)
    if isinstance(asked, VxlanLink) and kind == "vxlan" and _learns_nothing(data):
        local = ip_address(data["local"])
        return VxlanLink(name, data["id"], data["link"], local, data["port"], mtu, mac)
    return LinkSetting(name, mtu, mac if not isinstance(asked, LinkSetting) or asked.mac else "")


def _learns_nothing(vxlan: Json) -> bool:
    is_bound = {"id", "link", "local", "port"} <= vxlan.keys()
    return is_bound and not vxlan.get("learning") and not {"remote", "group"} & vxlan.keys()


def _bridge_ports(kernel: Kernel) -> list[KernelObject]:
    return [
        BridgePort(interface["master"], name, bool(interface["linkinfo"]["info_slave_data"]["hairpin"]))
        for name, interface in kernel.interfaces.items()
        if interface.get("linkinfo", {}).get("info_slave_kind") == "bridge"
    ]


def _addresses(kernel: Kernel) -> list[KernelObject]:
    return [
        InterfaceAddress(name, ip_address(held["local"]), held["prefixlen"])
        for name, interface in kernel.interfaces.items()
        for held in interface["addr_info"]
    ]


def _routes(kernel: Kernel, wanted: Iterable[KernelObject]) -> list[KernelObject]:
    """Return the routes with one next hop, for any TOS, without a metric; `src` where it is asked for."""
    has_source = {str(thing.destination) for thing in wanted if isinstance(thing, Route) and thing.source}
    seen: list[KernelObject] = []
    for route in kernel.routes:
        is_plain = "dev" in route and not {"metric", "tos"} & route.keys()
        if not is_plain or route.get("type", "unicast") != "unicast":
            continue
        destination = ip_network("0.0.0.0/0" if route["dst"] == "default" else route["dst"])
        gateway = ip_address(route["gateway"]) if "gateway" in route else None
        is_sourced = "prefsrc" in route and str(destination) in has_source
        source = ip_address(route["prefsrc"]) if is_sourced else None
        is_onlink = "onlink" in route.get("flags", ())
        seen.append(Route(destination, route["dev"], gateway, source, is_onlink))
    return seen


def _neighbours(kernel: Kernel) -> list[KernelObject]:
    return [
        Neighbour(entry["dev"], ip_address(entry["dst"]), MacAddress(entry["lladdr"]))
        for entry in kernel.neighbours
        if "PERMANENT" in entry.get("state", ()) and "lladdr" in entry
    ]


def _entries(kernel: Kernel) -> list[KernelObject]:
    return [
        ForwardingEntry(entry["ifname"], MacAddress(entry["mac"]), ip_address(entry["dst"]))
        for entry in kernel.entries
        if "dst" in entry and entry.get("state") == "permanent"
    ]


def _sysctls(kernel: Kernel, wanted: Iterable[KernelObject]) -> list[KernelObject]:
    """Return the sysctls; blanks between the numbers of one are all the same."""
    asked = [thing for thing in wanted if isinstance(thing, Sysctl) and thing.path in kernel.sysctls]
    return [
        thing
        if thing.value.split() == kernel.sysctls[thing.path].split()
        else replace(thing, value=kernel.sysctls[thing.path])
        for thing in asked
    ]
