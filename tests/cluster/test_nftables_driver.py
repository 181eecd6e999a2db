"""The driver nftables on the real kernel: in force, twice without a change, mended, changed, and in use."""

from __future__ import annotations

from typing import Any

import pytest
from laboratory import Findings

from testbed.emulation.sandbox import run_in_sandbox
from testbed.errors import TestbedError

T = "ip kube-proxy"
SEEDS, STEPS = (1, 2, 3), 10
CONNECTIONS = 60
NOTHING: dict[str, list[str]] = {"missing": [], "different": [], "too much": []}
Damage = tuple[list[str], dict[str, list[str]]]


def chain(name: str) -> str:
    return f"nft chain {T} {name}"


def element(name: str, value: str) -> str:
    return f"nft element {T} {name} {value}"


def one(kind: str, *keys: str) -> dict[str, list[str]]:
    return {**NOTHING, kind: sorted(keys)}


PORT_OF_2 = "10.96.0.2 . tcp . 80"
NO_ENDPOINTS = element("no-endpoint-services", PORT_OF_2)
ROGUE_MAP = f"add map {T} rogue {{ type ipv4_addr : ipv4_addr ; }}"
DAMAGES: dict[str, Damage] = {
    "element gone": (
        [f"delete element {T} cluster-ips {{ 10.96.0.1 }}"],
        one("missing", element("cluster-ips", "10.96.0.1")),
    ),
    "element too many": (
        [f"add element {T} cluster-ips {{ 10.96.0.77 }}"],
        one("too much", element("cluster-ips", "10.96.0.77")),
    ),
    "another verdict": (
        [
            f"delete element {T} no-endpoint-services {{ {PORT_OF_2} }}",
            f'add element {T} no-endpoint-services {{ {PORT_OF_2} comment "default/svc-2" : drop }}',
        ],
        one("different", NO_ENDPOINTS),
    ),
    "map emptied": ([f"flush map {T} no-endpoint-services"], one("missing", NO_ENDPOINTS)),
    "rule too many": (
        [f"insert rule {T} nat-output ip daddr 192.0.2.1 return"],
        one("different", chain("nat-output")),
    ),
    "rule changed": (
        [f"flush chain {T} mark-for-masquerade", f"add rule {T} mark-for-masquerade mark set mark or 0x8000"],
        one("different", chain("mark-for-masquerade")),
    ),
    "rules in another order": (
        [
            f"flush chain {T} masquerading",
            f"add rule {T} masquerading mark and 0x4000 == 0 return",
            f"add rule {T} masquerading masquerade fully-random",
            f"add rule {T} masquerading mark set mark xor 0x4000",
        ],
        one("different", chain("masquerading")),
    ),
    "chain emptied": ([f"flush chain {T} services"], one("different", chain("services"))),
    "chain gone": ([f"delete chain {T} nat-prerouting"], one("missing", chain("nat-prerouting"))),
    "chain too many": (
        [f"add chain {T} rogue", f"add rule {T} rogue drop", f"add rule {T} services goto rogue"],
        {"missing": [], "different": [chain("services")], "too much": [chain("rogue")]},
    ),
    "chain with a hook too many": (
        [f"add chain {T} rogue {{ type filter hook input priority -300 ; policy drop ; }}"],
        one("too much", chain("rogue")),
    ),
    "set too many": (
        [
            ROGUE_MAP,
            f"add element {T} rogue {{ 10.0.0.1 : 10.0.0.2 }}",
            f"add rule {T} nat-output dnat to ip daddr map @rogue",
        ],
        {
            "missing": [],
            "different": [chain("nat-output")],
            "too much": [element("rogue", "10.0.0.1"), f"nft set {T} rogue"],
        },
    ),
    "another hook": (
        [
            f"delete chain {T} nat-output",
            f"add chain {T} nat-output {{ type nat hook output priority -99 ; }}",
            f"add rule {T} nat-output jump services",
        ],
        one("different", chain("nat-output")),
    ),
    "packets dropped": (
        [f"add chain {T} filter-forward {{ policy drop ; }}"],
        one("different", chain("filter-forward")),
    ),
    "table disabled": ([f"add table {T} {{ flags dormant ; }}"], one("different", f"nft table {T}")),
}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    found = Findings()

    def take(event: dict[str, Any]) -> None:
        found.found[event["scenario"]] = event["value"]

    job = {
        "fresh": [],
        "again": [],
        "mended": [{name: lines for name, (lines, _) in DAMAGES.items()}],
        "refused": [],
        "changes": [SEEDS, STEPS],
        "one_change": [],
        "connections": [CONNECTIONS],
    }
    try:
        run_in_sandbox("scenarios.nftables", job, take, tmp_path_factory.mktemp("nftables") / "sandbox.log")
    except TestbedError as error:
        found.failure = str(error)
    return found


class TestApply:
    def test_an_empty_namespace_gets_all_of_it(self, findings: Findings) -> None:
        found = findings["fresh"]
        assert found["missing before"] == found["objects"]
        assert found["left"] == NOTHING
        assert found["there"] == found["wanted"]

    def test_other_tables_are_left_alone(self, findings: Findings) -> None:
        assert findings["fresh"]["tables"] == ["table ip others", f"table {T}"]

    def test_applying_again_changes_nothing(self, findings: Findings) -> None:
        first, *others = findings["again"]
        assert "# handle" in first
        assert others == [first, first]

    def test_what_nft_refuses_changes_nothing(self, findings: Findings) -> None:
        found = findings["refused"]
        assert found["untouched"]
        assert "nowhere" in found["said"]["apply"]
        assert "nowhere" in found["said"]["change"]

    def test_what_is_not_so_afterwards_is_named(self, findings: Findings) -> None:
        said = findings["refused"]["said"]["not so"]
        assert "missing: add element ip kube-proxy ranges { 10.0.0.0-10.255.255.255 }" in said
        assert "not wanted: add element ip kube-proxy ranges { 10.0.0.0/8 }" in said


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_seen_and_mended(findings: Findings, damage: str) -> None:
    found = findings["mended"][damage]
    assert found["changed"], "the table is as it was"
    assert found["seen"] == DAMAGES[damage][1]
    assert found["sound"]


class TestChange:
    @pytest.mark.parametrize("walk", range(len(SEEDS)))
    def test_there_and_back_is_what_scratch_is(self, findings: Findings, walk: int) -> None:
        found = findings["changes"][walk]
        assert found["distinct"] > STEPS // 2, "a walk that stands still proves nothing"
        assert found["wrong"] == []

    def test_a_change_touches_nothing_else(self, findings: Findings) -> None:
        found = findings["one_change"]
        assert [name.split("-")[0] for name in found["gone"]] == ["endpoint"]
        assert [name.split("-", 2)[2] for name in found["rewritten"]] == ["default/svc-1/tcp/http"]
        assert found["kept"] > 20


class TestConnections:
    def test_all_endpoints_get_some(self, findings: Findings) -> None:
        spread = findings["connections"]["spread"]
        assert set(spread) == {"10.244.0.2", "10.244.0.3", "10.244.0.4"}  # but for 1 in 10^10 runs
        assert sum(spread.values()) == CONNECTIONS

    def test_who_is_seen(self, findings: Findings) -> None:
        """A Pod keeps its address, but for hairpin; a stranger to the cluster is the node."""
        assert findings["connections"]["seen"] == {
            "10.244.0.9": "10.244.0.9",
            "10.244.0.2": "172.18.0.2",
            "198.51.100.7": "172.18.0.2",
        }

    def test_what_nobody_serves(self, findings: Findings) -> None:
        found = findings["connections"]
        assert found["no endpoints"] == "refused"
        assert found["another port"] == "refused"
        assert found["nobody's"] == "no answer"
