"""Scenarios of the driver iproute: two flannel nodes joined by one veth, two Pods each, no more."""

from __future__ import annotations

import os
import pickle
import socket
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from scenarios.frames import Sniffer, parse_frame

from testbed.dataplanes.iptables import IptablesChain, IptablesRule
from testbed.dataplanes.linux import InterfaceAddress, LinkSetting, Route, Sysctl, VxlanLink
from testbed.dataplanes.program import Difference, NodeProgram, ProgramObject, difference
from testbed.dataplanes.registry import dataplane
from testbed.drivers import iproute
from testbed.drivers.iproute import IprouteDriver
from testbed.drivers.shell import run
from testbed.emulation import namespaces
from testbed.emulation.namespaces import entered, pod_namespace
from testbed.emulation.pods import create_pods
from testbed.emulation.sandbox import RUN_FOLDER, serve
from testbed.errors import RunFailed
from testbed.intent import ClusterIntent, PodAttachment

Json = dict[str, Any]
NODES = ("node1", "node2")
FLANNEL = dataplane("flannel", "none")
SERVER_PORT = 8080
OTHER_UPLINK_MTU = 1600
_ARRIVAL_S = 5.0
_IPV4_GROUPS = 0x4 | 0x10 | 0x40
"""RTMGRP_NEIGH, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE: changes that the kernel tells of."""


class Stage:
    """The nodes' namespaces with their Pods, each with its program and its driver; nothing applied yet."""

    def __init__(self, intent: ClusterIntent) -> None:
        self.intent = intent
        self.programs = {name: FLANNEL.render(intent.for_node(name)) for name in NODES}
        self.drivers = {name: IprouteDriver(name) for name in NODES}
        _join(intent)
        for name in NODES:
            create_pods(
                intent.nodes[name], self.pods(name), FLANNEL.network.pod_interface, needs_checksums=False
            )

    def pods(self, node: str) -> list[PodAttachment]:
        return [thing for thing in self.intent.local[node].values() if isinstance(thing, PodAttachment)]

    def wanted(self, node: str) -> tuple[ProgramObject, ...]:
        return self.programs[node].objects()

    def left(self, node: str, wanted: Sequence[ProgramObject] | None = None) -> list[str]:
        """Return what of the driver's own objects is missing or different, by key."""
        every = self.wanted(node) if wanted is None else wanted
        own = [thing for thing in every if isinstance(thing, iproute.KernelObject)]
        found = difference(self.drivers[node].observe(every), own)
        return [thing.key for thing in (*found.added, *found.replaced)]


def _join(intent: ClusterIntent) -> None:
    one, other = (intent.nodes[name] for name in NODES)
    for name in NODES:
        namespaces.create(name, has_ipv6=False)
    ends = f"{one.uplink} address {one.mac} type veth peer name {other.uplink} address {other.mac}"
    iproute.batch(one.name, [f"link add {ends} netns {other.name}"])
    for node in (one, other):
        address = f"addr add {node.address}/{node.prefix_length} dev {node.uplink}"
        iproute.batch(node.name, [f"link set {node.uplink} up", address])


def with_more_kinds(stage: Stage) -> tuple[ProgramObject, ...]:
    """Return node1's program with objects of the kinds that flannel has none of, and other routes."""
    node = stage.intent.nodes["node1"]
    return (
        *stage.wanted("node1"),
        LinkSetting(node.uplink, OTHER_UPLINK_MTU, node.mac),
        Route(ip_network("198.51.100.0/24"), node.uplink, source=node.address),
        Route(ip_network("0.0.0.0/0"), node.uplink, ip_address(stage.intent.nodes["node2"].address)),
        Sysctl("net/ipv4/ip_local_port_range", "20000 40000"),
    )


def fresh(stage: Stage) -> Json:
    """Apply to namespaces that hold Pods and uplinks alone; return what the tools then show of node1."""
    before = stage.left("node1")
    for name in NODES:
        stage.drivers[name].apply(stage.wanted(name))
    return {"before": before, "after": stage.left("node1"), "shown": shown("node1")}


def shown(node: str) -> dict[str, list[str]]:
    commands = {
        "links": "ip -o -details link show",
        "addresses": "ip -o -4 addr show",
        "routes": "ip route show",
        "neighbours": "ip neigh show nud permanent",
        "fdb": "bridge fdb show",
        "ports": "bridge -details link show",
        "sysctls": "sysctl net.ipv4.ip_forward",
    }
    return {
        kind: [" ".join(line.split()) for line in run(command.split(), namespace=node).splitlines()]
        for kind, command in commands.items()
    }


def again(stage: Stage) -> Json:
    """Apply to what is in force already; return the numbers of the links and what the kernel told."""
    before = _numbers("node1")
    with entered("node1"):
        told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    with told:
        told.bind((0, _IPV4_GROUPS))
        stage.drivers["node1"].apply(stage.wanted("node1"))
        return {"before": before, "after": _numbers("node1"), "told": _waiting(told)}


def mended(stage: Stage, damages: dict[str, list[str]]) -> dict[str, Json]:
    """Damage node1 by commands, apply, and look; return by damage what was missing before and after."""
    wanted, driver = with_more_kinds(stage), stage.drivers["node1"]
    driver.apply(wanted)
    found = {}
    for name, commands in damages.items():
        for command in commands:
            run(command.split(), namespace="node1")
        missing = stage.left("node1", wanted)
        driver.apply(wanted)
        found[name] = {"missing": missing, "left": stage.left("node1", wanted)}
    return found


def refused(stage: Stage) -> dict[str, str]:
    """Apply what cannot be; return the errors' texts."""
    node = stage.intent.nodes["node1"]
    vtep = next(thing for thing in stage.wanted("node1") if isinstance(thing, VxlanLink))
    impossible: dict[str, ProgramObject] = {
        "interface": InterfaceAddress("nowhere0", node.address, 24),
        "gateway": Route(ip_network("198.51.100.0/24"), node.uplink, ip_address("203.0.113.1")),
        "sysctl": Sysctl("net/ipv4/no_such_thing", "1"),
        "mtu": replace(vtep, interface="vtep9", vni=9, mtu_bytes=9000),  # the kernel gives what fits
    }
    errors = {}
    for name, thing in impossible.items():
        try:
            IprouteDriver("node1").apply([thing])
        except RunFailed as error:
            errors[name] = f"{type(error).__name__}: {error}"
    return errors


def changes(stage: Stage) -> dict[str, list[str]]:
    """Change node1's program step by step; return after each step what observing finds missing."""
    driver, found = stage.drivers["node1"], {}
    driver.apply(stage.wanted("node1"))
    peer = stage.programs["node1"].owners["Node/node2"]
    pod = stage.programs["node1"].owners[stage.pods("node1")[0].key]
    links = [thing for thing in stage.wanted("node1") if isinstance(thing, VxlanLink)]
    steps = {
        "peer removed": Difference((), (), peer),
        "peer removed again, and a port": Difference((), (), (*peer, *pod)),
        "peer added": Difference(peer, (), ()),
        "port removed again": Difference((), (), pod),
        "port added": Difference(pod, (), ()),
        "VTEP removed with its peer": Difference((), (), (*peer, *links)),
    }
    for name, step in steps.items():
        driver.change(step)
        found[name] = stage.left("node1")
    driver.apply(stage.wanted("node1"))
    if links:
        moved = replace(links[0], vni=5)
        wanted = [moved if thing is links[0] else thing for thing in stage.wanted("node1")]
        driver.change(Difference((), (moved,), ()))
        found["VTEP replaced"] = stage.left("node1", wanted)
        driver.change(Difference((), (links[0],), ()))
        found["VTEP replaced back"] = stage.left("node1")
    return found


def processes(stage: Stage) -> dict[str, list[str]]:
    """Apply the kinds that an Open vSwitch node has, and the whole program; return what was run."""
    node = stage.intent.nodes["node1"]
    run(["ip", "link", "add", "other1", "type", "bridge"], namespace="node1")
    few = [
        LinkSetting("other1", 1400),
        InterfaceAddress("other1", ip_address("192.0.2.1"), 24),
        Route(ip_network("198.51.100.0/24"), "other1", source=ip_address("192.0.2.1")),
        Route(ip_network("203.0.113.0/24"), node.uplink, ip_address(stage.intent.nodes["node2"].address)),
    ]
    found = {}
    for name, wanted in {"Open vSwitch": few, "again": few}.items():
        with counted() as calls:
            IprouteDriver("node1").apply(wanted)
        found[name] = calls
    run(["ip", "link", "del", "cni0"], namespace="node1")
    with counted() as calls:
        stage.drivers["node1"].apply(stage.wanted("node1"))
    found["flannel"] = calls
    return found


def connections(stage: Stage) -> list[Json]:
    """Connect from each Pod of node1, and from node1, to each Pod of node2, and look at the wire.

    Returns:
        For each connection: client and server, the address the server saw, and the frames that carried it.
    """
    for name in NODES:
        stage.drivers[name].apply(stage.wanted(name))
        load_iptables(name, stage.programs[name])
    clients = [_namespace(pod) for pod in stage.pods("node1")] + ["node1"]
    found = []
    with Sniffer("node1", stage.intent.nodes["node1"].uplink) as wire:
        for client in clients:
            for server in stage.pods("node2"):
                seen_as = _exchange(client, server)
                frames = [parse_frame(frame) for frame in wire.taken()]
                carried = [frame for frame in frames if frame["type"] == 0x0800]
                found.append(
                    {"client": client, "server": str(server.addresses[0]), "as": seen_as, "wire": carried}
                )
    return found


def saved_rules(stage: Stage) -> dict[str, list[str]]:
    """Return node2's rules of iptables as rendered and as `iptables-save` prints them."""
    name = "node2"
    load_iptables(name, stage.programs[name])
    rendered = [
        f"-A {thing.chain} {thing.rule}" for thing in stage.wanted(name) if isinstance(thing, IptablesRule)
    ]
    for thing in stage.wanted(name):
        if isinstance(thing, IptablesChain):
            rendered += [f"-A {thing.name} {rule}" for rule in thing.rules]
    printed = run(["iptables-nft-save"], namespace=name).splitlines()
    return {"rendered": sorted(rendered), "saved": sorted(line for line in printed if line[:2] == "-A")}


def load_iptables(node: str, program: NodeProgram) -> None:
    """Load a program's chains and rules into a node, from nothing."""
    tables: dict[str, list[str]] = {}
    for thing in program.objects():
        if isinstance(thing, IptablesChain):
            own = [f"-A {thing.name} {rule}" for rule in thing.rules]
            tables.setdefault(thing.table, []).extend([f":{thing.name} - [0:0]", *own])
        if isinstance(thing, IptablesRule):
            tables.setdefault(thing.table, []).append(f"-A {thing.chain} {thing.rule}")
    text = "".join(f"*{table}\n" + "\n".join(lines) + "\nCOMMIT\n" for table, lines in tables.items())
    run(["iptables-nft-restore"], namespace=node, stdin=text)


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collect the names of programs run meanwhile, by stand-ins that go on as the real ones."""
    folder, noted, calls = RUN_FOLDER / "noting", RUN_FOLDER / "noted", list[str]()
    folder.mkdir(exist_ok=True)
    path = os.environ["PATH"]
    for program in ("ip", "bridge", "sysctl"):
        script = f'#!/bin/sh\necho {program} >> {noted}\nPATH="{path}" exec {program} "$@"\n'
        (folder / program).write_text(script)
        (folder / program).chmod(0o755)
    noted.write_text("")
    os.environ["PATH"] = f"{folder}:{path}"
    try:
        yield calls
    finally:
        os.environ["PATH"] = path
        calls += noted.read_text().split()


def _exchange(client: str, server: PodAttachment) -> str:
    """Send a line by TCP; return the address that the server sees it come from."""
    aim = (str(server.addresses[0]), SERVER_PORT)
    with entered(_namespace(server)):
        listening = socket.create_server(aim)
    with listening:
        listening.settimeout(_ARRIVAL_S)
        with entered(client):
            stream = socket.create_connection(aim, timeout=_ARRIVAL_S)
        with stream:
            stream.sendall(b"who?\n")
            accepted, (address, _port) = listening.accept()
            with accepted:
                accepted.settimeout(_ARRIVAL_S)
                assert accepted.recv(5) == b"who?\n"
                accepted.sendall(b"me!\n")
                assert stream.recv(4) == b"me!\n"
    return str(address)


def _namespace(pod: PodAttachment) -> str:
    return pod_namespace(pod.namespace, pod.name)


def _numbers(node: str) -> dict[str, int]:
    with entered(node):
        return {name: number for number, name in socket.if_nameindex()}


def _waiting(told: socket.socket) -> list[str]:
    told.setblocking(False)
    messages = []
    while True:
        try:
            messages.append(told.recv(65_536).hex())
        except BlockingIOError:
            return messages


SCENARIOS: dict[str, Callable[..., object]] = {
    "fresh": fresh,
    "again": again,
    "mended": mended,
    "refused": refused,
    "changes": changes,
    "processes": processes,
    "connections": connections,
    "saved_rules": saved_rules,
}


def carry_out(job: Json, emit: Callable[[Json], None]) -> None:
    intent, given = pickle.loads(b64decode(job["pickle"]))
    stage = Stage(intent)
    for name, arguments in given.items():
        emit({"event": "result", "scenario": name, "value": SCENARIOS[name](stage, *arguments)})


if __name__ == "__main__":
    serve(carry_out)
