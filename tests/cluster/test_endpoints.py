"""Services on a live cluster: an even spread, and changes of endpoints that disturb nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from laboratory import Findings, plan_of, run_scenarios
from scipy.stats import ncx2

from testbed.dataplanes.catalogue import SERVICE_PROXIES
from tests.combinations import SERVED, Combination

SLOTS = 256
"""Hash values that a group deals out; shares of endpoints differ by one of them at most."""
CASES = {
    ("default/app", "TCP"): (1050, 10_000),
    ("default/app", "UDP"): (1050, 12_000),
    ("default/many", "TCP"): (1050, 14_000),
    ("default/many", "UDP"): (1050, 16_000),
}
ENDPOINT_COUNT = {"default/app": 3, "default/many": 7}


CHOSEN = [each for each in SERVED if each.carrier == "vxlan" and not each.direct_routing]
"""How packets get to other nodes does not matter here; who serves Services does."""


@pytest.fixture(scope="module", params=CHOSEN, ids=str)
def combination(request: pytest.FixtureRequest) -> Combination:
    found: Combination = request.param
    return found


@pytest.fixture(scope="module")
def findings(combination: Combination, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    spread = [(service, protocol, count, first) for (service, protocol), (count, first) in CASES.items()]
    given: dict[str, object] = {"spread": spread, "changes": None}
    if combination.proxy == "ovs":
        given["one_change"] = None
    plan = plan_of("endpoints.yaml", combination=combination)
    return run_scenarios("endpoints", plan, given, tmp_path_factory.mktemp("endpoints"))


def test_every_service_proxy_is_tried() -> None:
    assert {each.proxy for each in CHOSEN} == SERVICE_PROXIES.keys() - {"none"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].split('/')[1]}-{case[1]}")
def test_connections_spread_evenly(
    case: tuple[str, str], findings: Findings, combination: Combination
) -> None:
    service, _ = case
    answered = findings["spread"][list(CASES).index(case)]
    endpoints = [f"{service}-{number}" for number in range(ENDPOINT_COUNT[service])]
    assert sorted(answered) == endpoints
    connections, _ = CASES[case]
    assert sum(answered.values()) == connections
    # Open vSwitch deals by ports, the same ones give the same; kube-proxy draws anew each time.
    least_likely = 0.001 if combination.proxy == "ovs" else 1e-6
    assert probability_of_even(list(answered.values())) > least_likely, answered


def probability_of_even(counts: list[int]) -> float:
    """How likely counts at least as uneven are, were every share within one slot of the even one.

    Pearson's statistic follows the non-central chi-square distribution when true shares p differ from the
    even one, e: its non-centrality is n * sum((p - e)**2 / e). One slot allows |p - e| = 1/256 at most.
    """
    total, kinds = sum(counts), len(counts)
    even = total / kinds
    statistic = sum((count - even) ** 2 / even for count in counts)
    non_centrality = total * kinds * kinds * (1 / SLOTS / kinds) ** 2
    return float(ncx2.sf(statistic, kinds - 1, non_centrality))


def test_the_measure_of_evenness_tells_uneven_from_even() -> None:
    assert probability_of_even([200] * 7) > 0.99
    assert probability_of_even([350, 350, 175, 175, 175, 175, 0]) < 1e-9
    # Seven equal buckets of a group that deals 8 hash values: one gets two of them.
    assert probability_of_even([350, 175, 175, 175, 175, 175, 175]) < 1e-9


def steps(findings: Findings) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = findings["changes"]["steps"]
    assert len(found) == 7
    return found


def test_connections_that_are_open_stay_with_their_endpoint(findings: Findings) -> None:
    held = steps(findings)[0]["held_before"]
    assert len(held) == 20
    assert len(set(held)) >= 2, "the connections must not all hang on one endpoint"
    assert all(name.startswith("default/app-") for name in held)
    for step in steps(findings):
        assert step["held"] == held, step["step"]


def test_new_connections_go_to_ready_endpoints_alone(findings: Findings) -> None:
    for step in steps(findings):
        expected = set(step["ready"]) or {"refused"}
        assert set(step["new_tcp"]) == expected, step["step"]
        assert set(step["new_udp"]) == expected, step["step"]
        assert sum(step["new_tcp"].values()) == sum(step["new_udp"].values()) == 60


def test_other_services_go_on(findings: Findings) -> None:
    assert [step["others"] for step in steps(findings)] == [["allowed"]] * 7


def test_entries_of_other_services_are_left_alone(findings: Findings, combination: Combination) -> None:
    found = findings["changes"]
    for node, before in found["entries_before"].items():
        after = found["entries_after"][node]
        assert len(before) >= 3  # flows: TCP, UDP, and one that refuses every other port
        assert [each["entry"] for each in after] == [each["entry"] for each in before]
        for old, new in zip(before, after, strict=True):
            assert new["made"] == old["made"], f"{node}: added anew: {new['entry']}"
            assert new.get("duration_s", 1) > old.get("duration_s", 0), f"{node}: added anew: {new['entry']}"
            assert new["packets"] >= old["packets"], f"{node}: counters began anew: {new['entry']}"
    used = [each["packets"] for each in found["entries_before"]["node1"]]
    # kube-proxy's nftables rules count nothing; their handles tell.
    assert max(used) > 0 or combination.proxy == "nftables", "counters that nothing passed prove nothing"


def test_nodes_hold_exactly_what_they_should_after_all_changes(findings: Findings) -> None:
    assert findings["changes"]["differences"] == {"node1": [], "node2": []}


@pytest.mark.parametrize(
    "combination",
    [each for each in CHOSEN if each.proxy == "ovs"],
    ids=str,
    indirect=True,
    scope="module",
)
def test_a_change_costs_what_it_touches(findings: Findings) -> None:
    """Flows are counted here; of rules, the test above shows that others' keep their handles."""
    sent = findings["one_change"]
    groups = 2  # one for TCP, one for UDP
    assert sent["took_out"] == groups * sent["nodes"]
    assert sent["put_back"] == groups * sent["nodes"]
