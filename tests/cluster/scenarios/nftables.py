"""Scenarios of the driver nftables: namespaces with kube-proxy's table in them, and Services made up here."""

from __future__ import annotations

import json
import socket
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from itertools import pairwise
from random import Random
from typing import Any

from testbed.dataplanes.nftables import NftChain, NftElement, NftSet
from testbed.dataplanes.program import Difference, NodeProgram, ProgramObject, difference
from testbed.dataplanes.proxy.nftables import render_node, render_object
from testbed.drivers.nftables import NftablesDriver, own_objects
from testbed.drivers.shell import run
from testbed.emulation.namespaces import create, entered
from testbed.emulation.sandbox import serve
from testbed.errors import CommandFailed, RunFailed
from testbed.inet import MacAddress, Protocol
from testbed.intent import Backend, NodeIdentity, ServiceForward, ServicePortForward

Json = dict[str, Any]
TABLE = "ip kube-proxy"
LISTEN_PORT = 8080
NODE_ADDRESS, CLIENT, STRANGER = "172.18.0.2", "10.244.0.9", "198.51.100.7"
SERVERS = ("10.244.0.2", "10.244.0.3", "10.244.0.4")
NODE = NodeIdentity(
    name="node1",
    index=1,
    address=ip_address(NODE_ADDRESS),
    mac=MacAddress("02:01:00:00:00:01"),
    pod_cidrs=(ip_network("10.244.0.0/24"),),
    gateway_addresses=(ip_address("10.244.0.1"),),
    cluster_pod_cidrs=(ip_network("10.244.0.0/16"),),
    service_cidrs=(ip_network("10.96.0.0/12"),),
    encapsulation="vxlan",
    mtu_bytes=1450,
)
_REFUSED_S, _DROPPED_S = 2.0, 0.3


def service(number: int, *ports: tuple[str, Protocol, int, Sequence[str]]) -> ServiceForward:
    """Service default/svc-NUMBER at 10.96.0.NUMBER, with ports as name, protocol, number, endpoints."""
    vip = ip_address("10.96.0.0") + number
    forwards = (
        ServicePortForward(vip, protocol, port, slot, _backends(hosts), name)
        for slot, (name, protocol, port, hosts) in enumerate(ports)
    )
    return ServiceForward("default", f"svc-{number}", number, (vip,), tuple(forwards))


def _backends(hosts: Iterable[str]) -> tuple[Backend, ...]:
    return tuple(Backend(IPv4Address(host), LISTEN_PORT) for host in hosts)


SERVICES = (
    service(1, ("http", Protocol.TCP, 80, SERVERS), ("dns", Protocol.UDP, 53, SERVERS[:2])),
    service(2, ("", Protocol.TCP, 80, ())),
    service(3, ("", Protocol.SCTP, 80, SERVERS[:1])),
)


def program(services: Iterable[ServiceForward] = SERVICES) -> tuple[ProgramObject, ...]:
    owners: dict[str, tuple[ProgramObject, ...]] = {"node": render_node(NODE)}
    owners |= {each.key: render_object(NODE, each) for each in services}
    return NodeProgram("node1", owners).objects()


def driver_in(name: str) -> NftablesDriver:
    """Make a namespace, and return its driver."""
    create(name, has_ipv6=False)
    return NftablesDriver(name)


def listing(name: str) -> str:
    """Return the whole table as nft prints it, with handles: what stays has its handle still."""
    return run(["nft", "-a", "list", "table", *TABLE.split()], namespace=name)


def canonical(name: str) -> list[str]:
    """Return the table's objects as nft's JSON has them, in an order that says nothing of their history."""
    rules: Counter[str] = Counter()
    lines = []
    for item in json.loads(run(["nft", "-j", "list", "table", *TABLE.split()], namespace=name))["nftables"]:
        ((kind, thing),) = item.items()
        thing.pop("handle", None)
        if "elem" in thing:
            thing["elem"] = sorted(json.dumps(each, sort_keys=True) for each in thing["elem"])
        if kind == "rule":
            rules[thing["chain"]] += 1
            thing["place"] = rules[thing["chain"]]
        lines.append(json.dumps({kind: thing}, sort_keys=True))
    return sorted(lines)


def left(driver: NftablesDriver, wanted: Sequence[ProgramObject]) -> dict[str, list[str]]:
    """Return the keys of what is missing, different and too much."""
    found = difference(driver.observe(wanted), own_objects(wanted))
    return {
        "missing": sorted(thing.key for thing in found.added),
        "different": sorted(thing.key for thing in found.replaced),
        "too much": sorted(thing.key for thing in found.removed),
    }


def fresh() -> Json:
    """Apply to an empty namespace; return how much of each kind is there, and how much should be."""
    driver, wanted = driver_in("fresh"), program()
    run(["nft", "add", "table", "ip", "others"], namespace="fresh")
    before = left(driver, wanted)
    driver.apply(wanted)
    kinds = Counter[str]()
    for line in canonical("fresh"):
        ((kind, thing),) = json.loads(line).items()
        kinds[kind] += 1
        kinds["element"] += len(thing.get("elem", ()))
    mine = own_objects(wanted)
    sets = [thing for thing in mine if isinstance(thing, NftSet)]
    chains = [thing for thing in mine if isinstance(thing, NftChain)]
    return {
        "missing before": len(before["missing"]),
        "objects": len(mine),
        "left": left(driver, wanted),
        "there": {kind: kinds[kind] for kind in ("table", "set", "map", "chain", "rule", "element")},
        "wanted": {
            "table": 1,
            "set": sum(not thing.is_map for thing in sets),
            "map": sum(thing.is_map for thing in sets),
            "chain": len(chains),
            "rule": sum(len(thing.rules) for thing in chains),
            "element": sum(isinstance(thing, NftElement) for thing in mine),
        },
        "tables": run(["nft", "list", "tables"], namespace="fresh").split("\n")[:-1],
    }


def again() -> list[str]:
    """Apply three times, the last by a driver that knows of no other; return the listings."""
    driver, wanted = driver_in("again"), program()
    listings = []
    for each in (driver, driver, NftablesDriver("again")):
        each.apply(wanted)
        listings.append(listing("again"))
    return listings


def mended(damages: Mapping[str, Sequence[str]]) -> Json:
    """Damage the table in each way; return what was seen of it, and whether applying mended it."""
    driver, wanted = driver_in("mended"), program()
    driver.apply(wanted)
    sound = canonical("mended")
    found = {}
    for name, lines in damages.items():
        run(["nft", "-f", "-"], namespace="mended", stdin="\n".join(lines) + "\n")
        seen = left(driver, wanted)
        changed = canonical("mended") != sound
        driver.apply(wanted)
        found[name] = {"seen": seen, "changed": changed, "sound": canonical("mended") == sound}
    return found


def refused() -> Json:
    """Ask for what nft refuses, and for what it would print otherwise; return what was said of it."""
    driver, wanted = driver_in("refused"), program()
    driver.apply(wanted)
    before = listing("refused")
    bad = NftChain(TABLE, "bad", ("jump nowhere",))
    said = {}
    for name, act in (
        ("apply", lambda: driver.apply([*wanted, bad])),
        ("change", lambda: driver.change(Difference((bad,), (), wanted[-1:]))),
    ):
        try:
            act()
        except CommandFailed as error:
            said[name] = str(error)
    untouched = listing("refused") == before
    ranges = NftSet(TABLE, "ranges", "ipv4_addr", flags=("interval",))
    whole = NftElement(TABLE, "ranges", "10.0.0.0-10.255.255.255")
    try:
        driver.apply([*wanted, ranges, whole])
    except RunFailed as error:
        said["not so"] = str(error)
    return {"said": said, "untouched": untouched}


def changes(seeds: Sequence[int], steps: int) -> list[Json]:
    """Walk through random Services there and back, one change a step; return where scratch would differ."""
    found = []
    for seed in seeds:
        states = _random_states(Random(seed), steps)
        driver, scratch = driver_in(f"walk-{seed}"), driver_in(f"scratch-{seed}")
        driver.apply(program(states[0].values()))
        shown = [_from_scratch(scratch, states[0])]
        wrong = []
        for step, (old, new) in enumerate(pairwise(states), 1):
            driver.change(_change(old, new))
            shown.append(_from_scratch(scratch, new))
            if canonical(driver.namespace) != shown[-1]:
                wrong.append(step)
        for step in range(len(states) - 1, 0, -1):
            driver.change(_change(states[step], states[step - 1]))
            if canonical(driver.namespace) != shown[step - 1]:
                wrong.append(-step)
        found.append({"wrong": wrong, "distinct": len({"".join(each) for each in shown})})
    return found


def _random_states(random: Random, steps: int) -> list[dict[str, ServiceForward]]:
    states: list[dict[str, ServiceForward]] = [{each.key: each for each in SERVICES}]
    for _ in range(steps):
        state = dict(states[-1])
        for number in random.sample(range(1, 7), random.choice((1, 1, 2))):
            state[f"Service/default/svc-{number}"] = _random_service(random, number)
        if random.random() < 0.3:
            state.pop(random.choice(sorted(state)))
        states.append(state)
    return states


def _random_service(random: Random, number: int) -> ServiceForward:
    protocols = random.sample(list(Protocol), random.choice((1, 2)))
    return service(
        number,
        *(
            (f"p{random.choice((80, 81))}-{slot}", protocol, random.choice((80, 81)), _some(random))
            for slot, protocol in enumerate(protocols)
        ),
    )


def _some(random: Random) -> list[str]:
    return sorted(random.sample(SERVERS, random.randint(0, len(SERVERS))))


def _change(old: Mapping[str, ServiceForward], new: Mapping[str, ServiceForward]) -> Difference:
    """Return what changes for the Services that differ, and for no other."""
    touched = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    before = [made for key in touched if key in old for made in render_object(NODE, old[key])]
    after = [made for key in touched if key in new for made in render_object(NODE, new[key])]
    return difference(before, after)


def _from_scratch(driver: NftablesDriver, state: Mapping[str, ServiceForward]) -> list[str]:
    run(["nft", "add table", TABLE, "; delete table", TABLE], namespace=driver.namespace)
    driver.apply(program(state.values()))
    return canonical(driver.namespace)


def one_change() -> Json:
    """Take an endpoint from a Service; return which chains kept their rules, by handle, and which did not."""
    driver = driver_in("one")
    driver.apply(program())
    before = _rule_handles("one")
    fewer = replace(SERVICES[0].ports[0], backends=_backends(SERVERS[:2]))
    after = replace(SERVICES[0], ports=(fewer, *SERVICES[0].ports[1:]))
    driver.change(difference(render_object(NODE, SERVICES[0]), render_object(NODE, after)))
    now = _rule_handles("one")
    return {
        "gone": sorted(before.keys() - now.keys()),
        "rewritten": sorted(name for name in before.keys() & now.keys() if before[name] != now[name]),
        "kept": sum(before[name] == now[name] for name in before.keys() & now.keys()),
    }


def _rule_handles(name: str) -> dict[str, list[int]]:
    handles: dict[str, list[int]] = defaultdict(list)
    for item in json.loads(run(["nft", "-j", "list", "table", *TABLE.split()], namespace=name))["nftables"]:
        if "rule" in item:
            handles[item["rule"]["chain"]].append(item["rule"]["handle"])
    return dict(handles)


def connections(count: int) -> Json:
    """Connect to Services through a node; return who answers, and sees whom."""
    driver = driver_in("node")
    _wire("clients", (CLIENT, STRANGER))
    _wire("servers", SERVERS)
    run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"], namespace="node")
    run(["ip", "route", "add", "default", "dev", "veth-servers"], namespace="node")
    alone = service(4, ("", Protocol.TCP, 80, SERVERS[:1]))
    driver.apply(program([*SERVICES, alone]))
    with ExitStack() as stack:
        with entered("servers"):
            servers = {
                host: stack.enter_context(socket.create_server((host, LISTEN_PORT))) for host in SERVERS
            }
            hairpin = _who_serves(servers, SERVERS[0], "10.96.0.4", 80)
        with entered("clients"):
            spread = Counter(_who_serves(servers, CLIENT, "10.96.0.1", 80)[0] for _ in range(count))
            seen = {source: _who_serves(servers, source, "10.96.0.4", 80)[1] for source in (CLIENT, STRANGER)}
            return {
                "spread": dict(spread),
                "seen": {**seen, SERVERS[0]: hairpin[1]},
                "no endpoints": _tried(CLIENT, "10.96.0.2", 80),
                "another port": _tried(CLIENT, "10.96.0.1", 81),
                "nobody's": _tried(CLIENT, "10.96.0.99", 80),
            }


def _wire(name: str, addresses: Iterable[str]) -> None:
    """Make a namespace with these addresses and join it to the namespace "node", its router."""
    create(name, has_ipv6=False)
    there = f"veth-{name}"
    outside = [
        f"link add {there} type veth peer name eth0 netns {name}",
        f"addr add {NODE_ADDRESS}/32 dev {there}",
        f"link set {there} up",
        *(f"route add {address}/32 dev {there}" for address in addresses),
    ]
    inside = [
        "link set eth0 up",
        *(f"addr add {address}/32 dev eth0" for address in addresses),
        f"route add default via {NODE_ADDRESS} dev eth0 onlink",
    ]
    for namespace, lines in (("node", outside), (name, inside)):
        run(["ip", "-batch", "-"], namespace=namespace, stdin="\n".join(lines) + "\n")


def _who_serves(servers: Mapping[str, socket.socket], source: str, vip: str, port: int) -> tuple[str, str]:
    """Return the endpoint that gets a connection, and the address that it comes from for it."""
    with socket.create_connection((vip, port), timeout=_REFUSED_S, source_address=(source, 0)):
        for host, server in servers.items():
            server.setblocking(False)
            try:
                accepted, (address, _port) = server.accept()
            except BlockingIOError:
                continue
            accepted.close()
            return host, address
    return "nobody", ""


def _tried(source: str, vip: str, port: int) -> str:
    try:
        socket.create_connection((vip, port), timeout=_DROPPED_S, source_address=(source, 0)).close()
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "no answer"
    return "connected"


SCENARIOS: dict[str, Callable[..., object]] = {
    "fresh": fresh,
    "again": again,
    "mended": mended,
    "refused": refused,
    "changes": changes,
    "one_change": one_change,
    "connections": connections,
}


def carry_out(job: Json, emit: Callable[[Json], None]) -> None:
    for name, arguments in job.items():
        emit({"event": "result", "scenario": name, "value": SCENARIOS[name](*arguments)})


if __name__ == "__main__":
    serve(carry_out)
