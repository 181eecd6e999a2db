"""The text of a transaction for a given difference: what refers goes before what it refers to."""

from __future__ import annotations

import pytest

from testbed.dataplanes.iptables import IptablesChain
from testbed.dataplanes.nftables import NftChain, NftElement, NftSet, NftTable
from testbed.dataplanes.program import Difference, difference
from testbed.drivers.nftables import NftablesDriver, transaction
from testbed.errors import RunFailed

T = "ip t"
PORTS = NftSet(T, "ports", "ipv4_addr . inet_proto . inet_service", is_map=True)


def chain(name: str, *rules: str) -> NftChain:
    return NftChain(T, name, rules)


def leads(to: str) -> NftElement:
    return NftElement(T, "ports", "10.96.0.1 . tcp . 80", f"goto {to}")


def test_everything_new() -> None:
    table = NftTable(T, "rules")
    hooked = NftChain(
        T, "nat", ("ip daddr . meta l4proto . th dport vmap @ports",), "type nat hook output priority 0"
    )
    objects = (leads("svc"), chain("svc", "goto end"), hooked, chain("end"), PORTS, table)
    assert transaction(difference((), objects)) == [
        'add table ip t { comment "rules" ; }',
        "add map ip t ports { type ipv4_addr . inet_proto . inet_service : verdict ; }",
        "add chain ip t svc",
        "add chain ip t nat { type nat hook output priority 0 ; }",
        "add chain ip t end",
        "add rule ip t svc goto end",
        "add rule ip t nat ip daddr . meta l4proto . th dport vmap @ports",
        "add element ip t ports { 10.96.0.1 . tcp . 80 : goto svc }",
    ]


def test_everything_gone() -> None:
    objects = (NftTable(T), PORTS, chain("svc", "goto end"), chain("end"), leads("svc"))
    assert transaction(Difference((), (), objects)) == [
        "delete element ip t ports { 10.96.0.1 . tcp . 80 }",
        "flush chain ip t svc",
        "flush chain ip t end",
        "delete chain ip t svc",
        "delete chain ip t end",
        "delete map ip t ports",
        "delete table ip t",
    ]


def test_a_chain_that_changes_is_written_whole() -> None:
    before, after = chain("svc", "goto a"), chain("svc", "goto b", "accept")
    change = difference((before, chain("a")), (after, chain("b")))
    assert transaction(change) == [
        "flush chain ip t a",
        "add chain ip t b",
        "add chain ip t svc",
        "flush chain ip t svc",
        "add rule ip t svc goto b",
        "add rule ip t svc accept",
        "delete chain ip t a",
    ]


def test_an_element_that_changes_goes_and_comes() -> None:
    assert transaction(difference((leads("a"), chain("a")), (leads("b"), chain("b")))) == [
        "delete element ip t ports { 10.96.0.1 . tcp . 80 }",
        "flush chain ip t a",
        "add chain ip t b",
        "add element ip t ports { 10.96.0.1 . tcp . 80 : goto b }",
        "delete chain ip t a",
    ]


def test_sets_with_a_time_out() -> None:
    affinity = NftSet(T, "affinity", "ipv4_addr", flags=("dynamic", "timeout"), timeout_s=10800, comment="c")
    declared = 'type ipv4_addr ; flags dynamic,timeout ; timeout 10800s ; comment "c" ;'
    assert transaction(difference((), (affinity,))) == [f"add set ip t affinity {{ {declared} }}"]
    assert transaction(difference((affinity,), ())) == ["delete set ip t affinity"]


def test_objects_of_other_mechanisms_are_left_to_them() -> None:
    other = IptablesChain("nat", "KUBE-SERVICES")
    assert transaction(Difference((other,), (other,), (other,))) == []


def test_no_change_runs_nothing() -> None:
    NftablesDriver("no-such-namespace").change(Difference((), (), ()))


def test_a_table_cannot_be_altered() -> None:
    change = difference((NftTable(T, "old"),), (NftTable(T, "new"),))
    with pytest.raises(RunFailed, match="nft table ip t cannot be altered"):
        NftablesDriver("no-such-namespace").change(change)
