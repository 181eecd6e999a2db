"""What a node holds, whatever its dataplane is made of: for scenarios that apply, damage and mend."""

from __future__ import annotations

import re
from collections.abc import Sequence

from testbed.dataplanes.iptables import BUILTIN_CHAINS, IptablesChain
from testbed.dataplanes.linux import BridgePort, ForwardingEntry, InterfaceAddress, Neighbour, Route
from testbed.dataplanes.nftables import NftElement
from testbed.dataplanes.openvswitch import OvsPort
from testbed.dataplanes.program import Difference, ProgramObject, difference
from testbed.drivers import ovs
from testbed.drivers.shell import run
from testbed.emulation.cluster import EmulatedCluster
from testbed.emulation.open_vswitch import OpenVSwitch

_COUNTERS = re.compile(r"counter packets \d+ bytes \d+|expires \w+")
_WORDS = re.compile(r"[^\s,{}]+")


def open_vswitch(cluster: EmulatedCluster) -> OpenVSwitch | None:
    """Return the mechanism Open vSwitch of a cluster that has it."""
    found = cluster.mechanisms.get("openvswitch")
    assert found is None or isinstance(found, OpenVSwitch)
    return found


def switch_of(cluster: EmulatedCluster) -> OpenVSwitch:
    """Return the mechanism Open vSwitch of a cluster that must have it."""
    found = open_vswitch(cluster)
    assert found is not None
    return found


def program(cluster: EmulatedCluster, node: str) -> tuple[ProgramObject, ...]:
    """Return all objects of a node's program."""
    return cluster.dataplane.render(cluster.intent.for_node(node)).objects()


def apply_all(cluster: EmulatedCluster) -> None:
    """Apply every node's program once more."""
    for node in cluster.intent.nodes:
        for mechanism in cluster.mechanisms.values():
            mechanism.apply(node, program(cluster, node))


def held(cluster: EmulatedCluster, node: str, *, is_counting: bool) -> dict[str, list[str]]:
    """Return what a node holds; with `is_counting` also what tells a thing from another one put in its place.

    That is: interfaces' numbers, nftables' handles (iptables' rules have them too) and the count of changes
    to Open vSwitch's database.
    """
    found = {
        kind: sorted(run(command.split(), namespace=node).splitlines())
        for kind, command in {
            "addresses": "ip -o addr show",
            "routes": "ip -o route show",
            "links": "ip -o link show",
            "neighbours": "ip -o neigh show nud permanent",
        }.items()
    }
    told = run(["bridge", "fdb", "show"], namespace=node).splitlines()
    found["fdb"] = sorted(line for line in told if " dst " in line)
    rules = _COUNTERS.sub(
        "", run(["nft", *(["-a"] if is_counting else []), "list", "ruleset"], namespace=node)
    )
    found["rules"] = rules.splitlines() if is_counting else sorted(_WORDS.findall(rules))
    switch = open_vswitch(cluster)
    if switch is not None:
        instance = switch.switches[node]
        found["ports"] = sorted(ovs.observe(instance))
        if is_counting:
            found["changes"] = [instance.vsctl(["get", "Open_vSwitch", ".", "next_cfg"]).strip()]
    return found


def missing(cluster: EmulatedCluster, node: str) -> list[str]:
    """Return how what a node holds differs from its program, as its drivers and the controller observe it."""
    wanted = program(cluster, node)
    found = []
    for name, mechanism in cluster.mechanisms.items():
        drivers = getattr(mechanism, "drivers", {})
        if node in drivers:
            own = [thing for thing in wanted if type(thing).__module__.endswith(_VOCABULARY[name])]
            own = [thing for thing in own if type(thing).__name__ != "PodInterface"]
            seen = drivers[node].observe(wanted)
            left = difference(seen, own)
            found += [thing.text() for part in (left.added, left.replaced, left.removed) for thing in part]
    switch = open_vswitch(cluster)
    if switch is not None:
        assert switch.controller is not None
        for bridge, lists in switch.controller.differences().items():
            if bridge.startswith(f"{node}/"):
                found += [entry for entries in lists.values() for entry in entries]
    return found


_VOCABULARY = {"iproute": ".linux", "iptables": ".iptables", "nftables": ".nftables"}


def damage(cluster: EmulatedCluster, node: str) -> list[str]:
    """Take the first object of every kind from a node; return what was taken."""
    taken, kinds = [], set()
    # Addresses come last: the kernel takes routes away with them.
    for thing in sorted(program(cluster, node), key=lambda each: isinstance(each, InterfaceAddress)):
        if type(thing) not in kinds and _take(cluster, node, thing):
            kinds.add(type(thing))
            taken.append(thing.text().splitlines()[0])
    return taken


def _take(cluster: EmulatedCluster, node: str, thing: ProgramObject) -> bool:
    if isinstance(thing, OvsPort):
        if not thing.name.startswith("veth"):
            return False
        nothing: Sequence[ProgramObject] = ()
        driver = ovs.OvsDriver(switch_of(cluster).switches[node])
        driver.change(Difference(tuple(nothing), tuple(nothing), (thing,)))
        return True
    command = _removal(thing)
    if command:
        run(command, namespace=node)
    return bool(command)


def _removal(thing: ProgramObject) -> list[str]:
    match thing:
        case Route():
            return ["ip", "route", "del", str(thing.destination)]
        case InterfaceAddress() if thing.interface in {"br-int", "cni0"}:
            return ["ip", "addr", "del", f"{thing.address}/{thing.prefix_length}", "dev", thing.interface]
        case Neighbour():
            return ["ip", "neigh", "del", str(thing.address), "dev", thing.interface]
        case ForwardingEntry():
            return ["bridge", "fdb", "del", thing.mac, "dev", thing.interface]
        case BridgePort():
            return ["ip", "link", "set", thing.interface, "nomaster"]
        case IptablesChain() if thing.rules and thing.name not in BUILTIN_CHAINS:
            return ["iptables-nft", "-t", thing.table, "-F", thing.name]
        case NftElement():
            return ["nft", "delete", "element", *thing.table.split(), thing.set_name, "{", thing.entry(), "}"]
    return []
