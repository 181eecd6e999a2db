"""Links, addresses, routes and neighbours of a namespace, through iproute2's batch mode.

Writes what a program says in one batch; reads back with `ip -json` to tell what is still missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from testbed.dataplanes.program import (
    InterfaceAddress,
    LinkSetting,
    Neighbour,
    ProgramObject,
    Route,
    Sysctl,
    difference,
)
from testbed.drivers.shell import run
from testbed.errors import RunFailed
from testbed.inet import MacAddress

LinuxObject = LinkSetting | InterfaceAddress | Route | Neighbour
Json = dict[str, Any]  # what `ip -json` prints


def batch(namespace: str, lines: Iterable[str]) -> None:
    """Run lines of `ip` commands in one process.

    Raises:
        CommandFailed: one of them failed; those before it are in force.
    """
    text = "\n".join(lines)
    if text:
        run(["ip", "-batch", "-"], namespace=namespace, stdin=text + "\n")


def apply(namespace: str, wanted: Sequence[ProgramObject]) -> None:
    """Bring a namespace to the wanted links, addresses, routes, neighbours and sysctls, and verify it.

    Applying twice changes nothing. Objects of other mechanisms are left to their drivers.

    Raises:
        CommandFailed: the kernel refuses something.
        RunFailed: something is not in force afterwards.
    """
    write_sysctls(namespace, [thing for thing in wanted if isinstance(thing, Sysctl)])
    mine = [thing for thing in wanted if isinstance(thing, LinuxObject)]
    order = (LinkSetting, InterfaceAddress, Route, Neighbour)
    mine.sort(key=lambda thing: order.index(type(thing)))
    batch(namespace, (thing.text() for thing in mine))
    left = difference(observe(namespace, mine), mine)
    if left:
        missing = "; ".join(thing.text() for thing in (*left.added, *left.replaced))
        raise RunFailed(f"not in force after it was set: {missing}", where=namespace)


def observe(namespace: str, wanted: Sequence[LinuxObject]) -> list[LinuxObject]:
    """Return those of the wanted objects that the kernel has, as the kernel has them."""
    seen: list[LinuxObject] = []
    kinds = {type(thing) for thing in wanted}
    if kinds & {LinkSetting, InterfaceAddress}:
        interfaces = json.loads(run(["ip", "-json", "addr", "show"], namespace=namespace))
        seen += _links(interfaces, wanted)
        seen += _addresses(interfaces)
    if Route in kinds:
        seen += _routes(json.loads(run(["ip", "-json", "route", "show"], namespace=namespace)), wanted)
    if Neighbour in kinds:
        seen += _neighbours(json.loads(run(["ip", "-json", "neigh", "show"], namespace=namespace)))
    keys = {thing.key for thing in wanted}
    return [thing for thing in seen if thing.key in keys]


def write_sysctls(namespace: str, settings: Sequence[Sysctl]) -> None:
    """Set sysctls of a namespace.

    Raises:
        CommandFailed: the kernel has no such sysctl, or refuses the value.
    """
    if settings:
        pairs = [f"{setting.path.replace('/', '.')}={setting.value}" for setting in settings]
        run(["sysctl", "-q", "-w", *pairs], namespace=namespace)


def _links(interfaces: list[Json], wanted: Sequence[LinuxObject]) -> list[LinuxObject]:
    asked = {thing.interface: thing for thing in wanted if isinstance(thing, LinkSetting)}
    return [
        LinkSetting(
            interface["ifname"],
            interface["mtu"],
            interface["address"] if asked[interface["ifname"]].mac else "",
        )
        for interface in interfaces
        if interface["ifname"] in asked and "UP" in interface["flags"]
    ]


def _addresses(interfaces: list[Json]) -> list[LinuxObject]:
    return [
        InterfaceAddress(interface["ifname"], ip_address(held["local"]), held["prefixlen"])
        for interface in interfaces
        for held in interface["addr_info"]
    ]


def _routes(routes: list[Json], wanted: Sequence[LinuxObject]) -> list[LinuxObject]:
    asked = {str(thing.destination): thing for thing in wanted if isinstance(thing, Route)}
    seen: list[LinuxObject] = []
    for route in routes:
        destination = "0.0.0.0/0" if route["dst"] == "default" else str(ip_network(route["dst"]))
        if destination not in asked or "dev" not in route:
            continue
        gateway = ip_address(route["gateway"]) if "gateway" in route else None
        source = ip_address(route["prefsrc"]) if "prefsrc" in route and asked[destination].source else None
        is_onlink = "onlink" in route.get("flags", ())
        seen.append(Route(ip_network(destination), route["dev"], gateway, source, is_onlink))
    return seen


def _neighbours(neighbours: list[Json]) -> list[LinuxObject]:
    return [
        Neighbour(entry["dev"], ip_address(entry["dst"]), MacAddress(entry["lladdr"]))
        for entry in neighbours
        if "PERMANENT" in entry.get("state", ())
    ]
