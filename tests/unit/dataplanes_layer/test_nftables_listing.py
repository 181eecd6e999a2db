"""What nft prints, recorded: all of a program is recognised in it, and each way of being damaged is seen.

data/nft-list-table.txt is `nft --numeric-priority list table ip kube-proxy` after PROGRAM was loaded: nft
1.0.6 (Debian 12) and 1.1.3 (Debian 13) print the same, to the byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.dataplanes.nftables import NftChain, NftElement, NftObject, NftSet, NftTable
from testbed.dataplanes.program import Difference, difference
from testbed.dataplanes.proxy.nftables import TABLE, render_node, render_object
from testbed.drivers.nftables import own_objects
from testbed.drivers.nftables_listing import (
    declared_the_same,
    neutral,
    read_listing,
    recognised,
    says_the_same,
)
from testbed.inet import MacAddress, Protocol
from testbed.intent import Backend, NodeIdentity, ServiceForward, ServicePortForward

NODE = NodeIdentity(
    name="node1",
    index=1,
    address=ip_address("192.168.0.2"),
    mac=MacAddress("02:01:00:00:00:01"),
    pod_cidrs=(ip_network("10.180.0.0/24"),),
    gateway_addresses=(ip_address("10.180.0.254"),),
    cluster_pod_cidrs=(ip_network("10.0.0.0/8"), ip_network("192.0.2.0/24")),
    service_cidrs=(ip_network("172.30.0.0/16"),),
    encapsulation="vxlan",
    mtu_bytes=1450,
)


def service(name: str, last: int, *hosts: str, protocol: Protocol = Protocol.TCP) -> ServiceForward:
    vip = ip_address(f"172.30.0.{last}")
    backends = tuple(Backend(ip_address(host), 8080) for host in hosts)
    port = ServicePortForward(vip, protocol, 80, 0, backends, "p80" if last % 2 else "")
    return ServiceForward("ns1", name, last, (vip,), (port,))


AFFINITY = NftSet(TABLE, "affinity-X", "ipv4_addr", flags=("dynamic", "timeout"), timeout_s=10800)
LATER = (
    AFFINITY,
    NftChain(TABLE, "firewall-X", ("ip saddr != { 203.0.113.0/25 , 1.2.3.4 } drop",)),
    NftChain(
        TABLE,
        "external-X",
        (
            'fib saddr type local jump mark-for-masquerade comment "masquerade local traffic"',
            'ip saddr 10.0.0.0/8 goto firewall-X comment "short, circuit: { pod } traffic"',
            "update @affinity-X { ip saddr }",
            "ip saddr @affinity-X goto firewall-X",
            "meta l4proto { udp, tcp } accept",
        ),
    ),
)
"""Forms that kube-proxy writes for what Services cannot be asked for yet."""
PROGRAM: list[NftObject] = own_objects(
    [
        *render_node(NODE),
        *render_object(NODE, service("svc1", 41, "10.180.0.1", "10.180.0.2", "10.180.0.3")),
        *render_object(NODE, service("svc2", 42, "10.180.0.1", protocol=Protocol.UDP)),
        *render_object(NODE, service("svc3", 43, "10.180.0.1", protocol=Protocol.SCTP)),
        *render_object(NODE, service("svc4", 44)),
        *render_object(NODE, service("svc5", 45)),
        *LATER,
    ]
)
LISTING = Path(__file__).with_name("data").joinpath("nft-list-table.txt").read_text()


def left(listing: str) -> Difference:
    """Return what a listing lacks of PROGRAM."""
    return difference(recognised(read_listing(listing), PROGRAM), PROGRAM)


def test_all_is_recognised() -> None:
    assert not left(LISTING)


def test_nothing_is_read_from_nothing() -> None:
    assert read_listing("") == ()
    assert read_listing("table ip kube-proxy {\n}\n") == (NftTable(TABLE),)


def test_an_empty_chain_is_a_chain() -> None:
    assert read_listing("table ip t {\n\tchain a {\n\t}\n\n\tchain b {\n\t\taccept\n\t}\n}\n") == (
        NftTable("ip t"),
        NftChain("ip t", "a"),
        NftChain("ip t", "b", ("accept",)),
    )


def test_without_etc_protocols_numbers_are_printed() -> None:
    numbers = LISTING.replace(" . tcp . ", " . 6 . ").replace(" . udp . ", " . 17 . ")
    numbers = numbers.replace("l4proto tcp", "l4proto 6").replace("{ tcp, udp }", "{ 6, 17 }")
    assert numbers.count(" . 6 . ") == 3
    assert not left(numbers)


def test_elements_over_many_lines() -> None:
    values = [f"10.96.{number // 256}.{number % 256}" for number in range(600)]
    lines = ",\n\t\t\t     ".join(", ".join(values[start : start + 2]) for start in range(0, 600, 2))
    listing = f"table ip t {{\n\tset s {{\n\t\ttype ipv4_addr\n\t\telements = {{ {lines} }}\n\t}}\n}}\n"
    _, shown, *elements = read_listing(listing)
    assert shown == NftSet("ip t", "s", "ipv4_addr")
    assert elements == [NftElement("ip t", "s", value) for value in values]


def test_elements_that_packets_put_in_are_nobodys() -> None:
    elements = "\t\telements = { 10.180.0.7 timeout 3h expires 2h59m58s40ms }\n"
    filled = LISTING.replace("\t\ttimeout 3h\n", f"\t\ttimeout 3h\n{elements}")
    filled = filled.replace("size 65535", "size 65535\t# count 1")  # as versions after 1.1.3 have it
    assert filled != LISTING
    assert not left(filled)


DAMAGES: list[tuple[str, Callable[[str], str], tuple[int, int, int]]] = [
    ("element gone", lambda text: text.replace("172.30.0.41, 172.30.0.42,", "172.30.0.42,"), (1, 0, 0)),
    ("element too many", lambda text: text.replace("172.30.0.41,", "172.30.0.41, 172.30.0.99,"), (0, 0, 1)),
    (
        "verdict changed",
        lambda text: text.replace("80 : goto service-ULMV", "80 : goto service-OTHER"),
        (0, 1, 0),
    ),
    ("comment of an element", lambda text: text.replace('"ns1/svc5:p80"', '"ns1/svc5"'), (0, 1, 0)),
    (
        "rule changed",
        lambda text: text.replace("dnat to 10.180.0.3:8080", "dnat to 10.180.0.3:80"),
        (0, 1, 0),
    ),
    ("rule gone", lambda text: text.replace("\t\tmasquerade fully-random\n", ""), (0, 1, 0)),
    ("rule too many", lambda text: text.replace("\t\treject\n", "\t\taccept\n\t\treject\n"), (0, 1, 0)),
    ("rule's comment", lambda text: text.replace("masquerade local traffic", "masquerade it"), (0, 1, 0)),
    ("mark", lambda text: text.replace("mark | 0x00004000", "mark | 0x00008000"), (0, 1, 0)),
    ("operator", lambda text: text.replace("mark | 0x00004000", "mark ^ 0x00004000"), (0, 1, 0)),
    (
        "member of a rule's set",
        lambda text: text.replace("{ 10.0.0.0/8, 192", "{ 10.1.0.0/16, 192"),
        (0, 3, 0),
    ),
    (
        "drops",
        lambda text: text.replace("priority -100; policy accept", "priority -100; policy drop"),
        (0, 2, 0),
    ),
    ("priority", lambda text: text.replace("prerouting priority -110", "prerouting priority -90"), (0, 1, 0)),
    (
        "hook gone",
        lambda text: text.replace("\t\ttype nat hook postrouting priority 100; policy accept;\n", ""),
        (0, 1, 0),
    ),
    ("chain renamed", lambda text: text.replace("\tchain services {", "\tchain servants {"), (1, 0, 1)),
    ("set renamed", lambda text: text.replace("\tset nodeport-ips {", "\tset other-ips {"), (2, 0, 2)),
    ("time-out", lambda text: text.replace("timeout 3h", "timeout 2h59m"), (0, 1, 0)),
    ("flags", lambda text: text.replace("flags dynamic,timeout", "flags timeout"), (0, 1, 0)),
    (
        "type",
        lambda text: text.replace("type ipv4_addr . inet_proto . inet_service : v", "type ipv4_addr : v", 1),
        (0, 1, 0),
    ),
    ("comment of a set", lambda text: text.replace("Active ClusterIPs", "ClusterIPs"), (0, 1, 0)),
    (
        "disabled",
        lambda text: text.replace("kube-proxy {\n", "kube-proxy {\n\tflags dormant\n", 1),
        (0, 1, 0),
    ),
]


@pytest.mark.parametrize(
    ("damage", "expected"), [each[1:] for each in DAMAGES], ids=[each[0] for each in DAMAGES]
)
def test_damage_is_seen(damage: Callable[[str], str], expected: tuple[int, int, int]) -> None:
    damaged = damage(LISTING)
    assert damaged != LISTING
    found = left(damaged)
    assert (len(found.added), len(found.replaced), len(found.removed)) == expected


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("mark set mark or 0x4000", "meta mark set meta mark | 0x00004000"),
        ("mark set mark xor 0x4000", "meta mark set mark xor 0x00004000"),
        ("mark and 0x4000 == 0 return", "meta mark & 0x00004000 == 0x00000000 return"),
        ("ip daddr { 172.30.0.0/16 } drop", "ip daddr 172.30.0.0/16 drop"),
        (
            "numgen random mod 2 vmap { 0 : goto a , 1 : goto b }",
            "numgen random mod 2 vmap { 0 : goto a, 1 : goto b }",
        ),
        ("ip saddr { 192.0.2.1, 10.0.0.1 } drop", "ip saddr { 10.0.0.1, 192.0.2.1 } drop"),
    ],
)
def test_two_ways_of_writing(written: str, printed: str) -> None:
    assert neutral(written) == neutral(printed)


@given(st.permutations(["10.0.0.0/8", "192.0.2.1", "172.16.0.0/12", "198.51.100.7"]))
def test_an_anonymous_set_has_no_order(members: list[str]) -> None:
    assert neutral(f"ip saddr {{ {', '.join(members)} }} drop") == neutral(
        f"ip saddr {{ {' , '.join(sorted(members))} }} drop"
    )


def test_what_cannot_be_altered() -> None:
    chain = NftChain("ip t", "c", ("accept",), "type nat hook output priority 0")
    assert declared_the_same(chain, replace(chain, hook="type nat hook output priority 0; policy accept"))
    assert declared_the_same(chain, replace(chain, rules=()))
    assert not says_the_same(chain, replace(chain, rules=()))
    assert not declared_the_same(chain, replace(chain, hook="type nat hook output priority 1"))
    assert not declared_the_same(AFFINITY, replace(AFFINITY, timeout_s=1))
    assert declared_the_same(AFFINITY, replace(AFFINITY, flags=("dynamic",))), "a time-out implies its flag"
    assert not declared_the_same(AFFINITY, replace(AFFINITY, flags=("timeout",)))
