"""The iptables driver on the real kernel: in force, twice the same, repaired, changed, refused."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from random import Random
from typing import Any

import pytest
from laboratory import Findings

from testbed.dataplanes.iptables import BUILTIN_CHAINS, IptablesChain, IptablesRule
from testbed.dataplanes.program import Difference, ProgramObject, difference
from testbed.dataplanes.proxy.iptables import render_node, render_object
from testbed.dataplanes.proxy.kube_proxy_names import service_chain
from testbed.drivers.iptables_text import layout
from testbed.emulation.sandbox import run_in_sandbox
from testbed.errors import TestbedError
from testbed.inet import MacAddress, Protocol
from testbed.intent import Backend, NodeIdentity, ServiceForward, ServicePortForward

Objects = tuple[ProgramObject, ...]
NODE = NodeIdentity(
    name="node1",
    index=1,
    address=ip_address("192.168.0.11"),
    mac=MacAddress("02:01:00:00:00:01"),
    pod_cidrs=(ip_network("10.244.1.0/24"),),
    gateway_addresses=(ip_address("10.244.1.1"),),
    cluster_pod_cidrs=(ip_network("10.244.0.0/16"),),
    service_cidrs=(ip_network("10.96.0.0/12"),),
    encapsulation="vxlan",
    mtu_bytes=1450,
)
FOREIGN = (
    "iptables-nft -t nat -N MINE",
    "iptables-nft -t nat -A MINE -j RETURN",
    "iptables-nft -t nat -A OUTPUT -j MINE",
    "iptables-nft -t filter -A FORWARD -s 192.0.2.1/32 -j DROP",
)
"""Somebody else's chain and rules; they stand where kube-proxy's jumps are going to be."""


def service(number: int, *ports: tuple[str, int, Protocol, Sequence[int]]) -> ServiceForward:
    """A Service with ports, each given by its name, number, protocol and the Pods behind it."""
    address = ip_address("10.96.0.0") + number
    forwards = tuple(
        ServicePortForward(
            address,
            protocol,
            port,
            slot,
            tuple(Backend(ip_address("10.244.0.0") + pod, 8080) for pod in pods),
            name,
        )
        for slot, (name, port, protocol, pods) in enumerate(ports)
    )
    return ServiceForward("default", f"service{number}", number, (address,), forwards)


def rendered(*services: ServiceForward) -> Objects:
    """A node's program with some Services."""
    return (*render_node(NODE), *(each for one in services for each in render_object(NODE, one)))


WEB = service(1, ("http", 80, Protocol.TCP, (258, 259, 514)))
DNS = service(2, ("dns", 53, Protocol.UDP, (258, 514)), ("dns-tcp", 53, Protocol.TCP, (258, 514)))
PROGRAM = rendered(
    WEB,
    DNS,
    service(3, ("", 99, Protocol.SCTP, (258,))),
    service(4, ("http", 80, Protocol.TCP, ()), ("https", 443, Protocol.TCP, ())),
    service(5, ("many", 80, Protocol.TCP, range(300, 360))),  # 44 and 51 shares are written as they come
)
HTTP = service_chain("default/service1:http", Protocol.TCP)
JUMP = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
DAMAGES: Mapping[str, Sequence[str]] = {
    "nothing": [],
    "an empty chain": ["iptables-nft -t nat -F KUBE-SERVICES"],
    "a rule gone": [f"iptables-nft -t nat -D {HTTP} 2"],
    "a rule too many": [f"iptables-nft -t nat -I {HTTP} -j RETURN"],
    "own rules in another order": [
        "iptables-nft -D KUBE-FORWARD 1",
        "iptables-nft -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
    ],
    "node ports first": [
        "iptables-nft -t nat -I KUBE-SERVICES -m comment --comment"
        ' "kubernetes service nodeports; NOTE: this must be the last rule in this chain"'
        " -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
    ],
    "a jump gone": [f"iptables-nft -t nat -D OUTPUT {JUMP}"],
    "a jump twice": [f"iptables-nft -t nat -I OUTPUT {JUMP}"],
    "jumps in another order": [
        "iptables-nft -D FORWARD -m comment --comment 'kubernetes forwarding rules' -j KUBE-FORWARD",
        "iptables-nft -A FORWARD -m comment --comment 'kubernetes forwarding rules' -j KUBE-FORWARD",
    ],
    "a stale Service": [
        "iptables-nft -t nat -N KUBE-SEP-STALE",
        "iptables-nft -t nat -N KUBE-SVC-STALE",
        "iptables-nft -t nat -A KUBE-SVC-STALE -j KUBE-SEP-STALE",
        "iptables-nft -t nat -I KUBE-SERVICES -d 10.96.9.9 -j KUBE-SVC-STALE",
    ],
    "a stale jump": ["iptables-nft -N KUBE-STALE", "iptables-nft -I INPUT -j KUBE-STALE"],
    "a Service's chain gone": [
        "iptables-nft -t nat -D KUBE-SERVICES 1",
        f"iptables-nft -t nat -F {HTTP}",
        f"iptables-nft -t nat -X {HTTP}",
    ],
    "the canary gone": ["iptables-nft -t mangle -X KUBE-PROXY-CANARY"],
    "all gone": ["nft flush ruleset", *FOREIGN],
}
LARGE = rendered(*(service(number, ("http", 80, Protocol.TCP, (258, 259, 514))) for number in range(1, 101)))
"""More than the kernel takes in one message of who may not enlarge the send buffer."""
UNUSUAL = IptablesChain("nat", "KUBE-UNUSUAL", ("-j MARK --or-mark 0x4000",))
BROKEN = IptablesChain("nat", "KUBE-BROKEN", ("-p tcp --no-such-option -j RETURN",))
HARMLESS = IptablesRule("nat", "KUBE-SERVICES", "-d 10.96.9.9/32 -j RETURN", place="default/zzz")


def sequences() -> Iterator[tuple[Objects, list[Difference], list[Difference], Objects]]:
    """Random changes: a program, what changes it step by step and back, and what it is then."""
    for seed in range(12):
        random = Random(seed)
        services = {number: render_object(NODE, any_service(random, number)) for number in range(4)}
        first, forth, back = whole(services), [], []
        for _ in range(8):
            number = random.randrange(6)
            before = services.get(number, ())
            after = () if random.random() < 0.25 else render_object(NODE, any_service(random, number))
            services[number] = after
            forth.append(difference(before, after))
            back.insert(0, difference(after, before))
        yield first, forth, back, whole(services)


def any_service(random: Random, number: int) -> ServiceForward:
    ports = [("http", 80, Protocol.TCP), ("dns", 53, Protocol.UDP), ("dns-tcp", 53, Protocol.TCP)]
    return service(
        number,
        *(
            (*port, random.sample(range(256, 262), random.choice((0, 1, 2, 3))))
            for port in random.sample(ports, random.randint(1, 3))
        ),
    )


def whole(services: Mapping[int, Objects]) -> Objects:
    return (*render_node(NODE), *(each for _, objects in sorted(services.items()) for each in objects))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    another = service(9, ("http", 80, Protocol.TCP, (300, 301)))
    added = Difference(render_object(NODE, another), (), ())
    given: dict[str, Any] = {
        "applied": PROGRAM,
        "applied_twice": PROGRAM,
        "repaired": (PROGRAM, FOREIGN, DAMAGES),
        "changed": list(sequences()),
        "changed_blindly": (rendered(WEB, DNS), added, rendered(WEB, DNS, another)),
        "refused": (rendered(WEB), UNUSUAL, BROKEN, HARMLESS),
        "unprivileged": LARGE,
    }
    findings = Findings()

    def take(event: dict[str, Any]) -> None:
        findings.found[event["scenario"]] = event["value"]

    job = {"pickle": base64.b64encode(pickle.dumps(given)).decode()}
    try:
        run_in_sandbox("scenarios.iptables", job, take, tmp_path_factory.mktemp("iptables") / "sandbox.log")
    except TestbedError as error:
        findings.failure = str(error)
    return findings


def of_table(lines: Sequence[str], table: str) -> list[str]:
    """A table's part of what iptables-save prints, without the table's line and COMMIT."""
    begun = lines.index(f"*{table}") + 1
    return list(lines[begun : lines.index("COMMIT", begun)])


def canonical(program: Objects, table: str, order: Sequence[str]) -> list[str]:
    """What iptables-save prints for a program: chains, built-in ones first, then their rules."""
    chains = layout([thing for thing in program if isinstance(thing, IptablesChain | IptablesRule)])
    names = [*order, *sorted(chain for its, chain in chains if its == table and chain not in BUILTIN_CHAINS)]
    declared = [f":{name} {'ACCEPT' if name in BUILTIN_CHAINS else '-'}" for name in names]
    return declared + [f"-A {name} {rule}" for name in names for rule in chains.get((table, name), ())]


@pytest.mark.parametrize(
    ("table", "built_in"),
    [
        ("filter", ("INPUT", "FORWARD", "OUTPUT")),
        ("nat", ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")),
        ("mangle", ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")),
    ],
)
def test_the_kernel_shows_the_program_rule_for_rule(
    found: Findings, table: str, built_in: Sequence[str]
) -> None:
    assert of_table(found["applied"], table) == canonical(PROGRAM, table, built_in)


def test_nothing_else_is_there(found: Findings) -> None:
    assert sorted(line for line in found["applied"] if line[0] == "*") == ["*filter", "*mangle", "*nat"]


def test_applying_again_changes_nothing(found: Findings) -> None:
    listed = found["applied_twice"]
    assert "counter packets 1 " in listed["before"]
    assert "# handle" in listed["before"]
    assert listed["after"] == listed["before"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_seen_and_repaired(found: Findings, damage: str) -> None:
    seen, lines = found["repaired"][damage]
    whole_again = found["repaired"]["undamaged"][1]
    assert bool(seen) == (damage != "nothing")
    for table in ("filter", "nat", "mangle"):
        assert of_table(lines, table) == of_table(whole_again, table)


def test_what_is_not_ours_stays(found: Findings) -> None:
    _, lines = found["repaired"]["a stale jump"]
    assert "-A MINE -j RETURN" in lines
    assert lines.index("-A OUTPUT -j MINE") < lines.index(f"-A OUTPUT {JUMP}")
    assert "-A FORWARD -s 192.0.2.1/32 -j DROP" in lines


@pytest.mark.parametrize("seed", range(12))
def test_changes_come_to_what_applying_comes_to(found: Findings, seed: int) -> None:
    lines = found["changed"][seed]
    for table in ("filter", "nat", "mangle"):
        assert of_table(lines["last"], table) == of_table(lines["scratch"], table)
        assert of_table(lines["back"], table) == of_table(lines["first"], table)
    assert lines["last"] != lines["first"]


def test_a_change_asks_the_kernel_nothing(found: Findings) -> None:
    result = found["changed_blindly"]
    assert "failed to execute iptables-nft-save" in result["observing"]
    assert of_table(result["blind"], "nat") == of_table(result["seeing"], "nat")


def test_what_is_not_in_force_afterwards_is_named(found: Findings) -> None:
    assert found["refused"]["unusual"] == (
        "RunFailed: refused: not in force after it was set:"
        " otherwise than asked for: iptables chain nat KUBE-UNUSUAL"
    )


def test_a_refused_change_names_the_line_and_leaves_the_table_alone(found: Findings) -> None:
    result = found["refused"]
    assert result["broken"].startswith("CommandFailed: refused: `iptables-nft-restore --noflush`")
    assert "is: -A KUBE-BROKEN -p tcp --no-such-option -j RETURN" in result["broken"]
    assert result["after"] == result["before"]


def test_after_a_refused_change_the_program_must_be_applied(found: Findings) -> None:
    result = found["refused"]
    assert "no program is known to be in force; apply the whole program first" in result["then"]
    added = f"-A KUBE-SERVICES {HARMLESS.rule}"
    assert [line for line in result["mended"] if line != added] == result["before"]
    assert added in result["mended"]


def test_an_ordinary_users_sandbox_holds_many_services(found: Findings) -> None:
    result = found["unprivileged"]
    assert result["stderr"] == ""
    assert result["may_send_large"] is False
    built_in = ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")
    assert of_table(result["saved"], "nat") == canonical(LARGE, "nat", built_in)
