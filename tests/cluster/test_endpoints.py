"""Services on a live cluster: an even spread, and changes of endpoints that disturb nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from laboratory import Findings, plan_of, run_scenarios
from scipy.stats import ncx2

SLOTS = 256
"""Hash values that a group deals out; shares of endpoints differ by one of them at most."""
CASES = {
    ("default/app", "TCP"): (1050, 10_000),
    ("default/app", "UDP"): (1050, 12_000),
    ("default/many", "TCP"): (1050, 14_000),
    ("default/many", "UDP"): (1050, 16_000),
}
ENDPOINT_COUNT = {"default/app": 3, "default/many": 7}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    spread = [(service, protocol, count, first) for (service, protocol), (count, first) in CASES.items()]
    given = {"spread": spread, "changes": None, "one_change": None}
    return run_scenarios("endpoints", plan_of("endpoints.yaml"), given, tmp_path_factory.mktemp("endpoints"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].split('/')[1]}-{case[1]}")
def test_connections_spread_evenly(case: tuple[str, str], findings: Findings) -> None:
    service, _ = case
    answered = findings["spread"][list(CASES).index(case)]
    endpoints = [f"{service}-{number}" for number in range(ENDPOINT_COUNT[service])]
    assert sorted(answered) == endpoints
    connections, _ = CASES[case]
    assert sum(answered.values()) == connections
    assert probability_of_even(list(answered.values())) > 0.001, answered


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


def test_flows_of_other_services_are_left_alone(findings: Findings) -> None:
    found = findings["changes"]
    for node, before in found["flows_before"].items():
        after = found["flows_after"][node]
        assert len(before) == 3  # TCP, UDP, and one that refuses every other port
        assert [flow["flow"] for flow in after] == [flow["flow"] for flow in before]
        for old, new in zip(before, after, strict=True):
            assert new["duration_s"] > old["duration_s"], f"{node}: added anew: {new['flow']}"
            assert new["packets"] >= old["packets"], f"{node}: counters began anew: {new['flow']}"
    used = [flow["packets"] for flow in found["flows_before"]["node1"]]
    assert max(used) > 0, "counters of flows that nothing passed prove nothing"


def test_bridges_hold_exactly_what_they_should_after_all_changes(findings: Findings) -> None:
    assert findings["changes"]["differences"] == []


def test_a_change_costs_what_it_touches(findings: Findings) -> None:
    sent = findings["one_change"]
    groups = 2  # one for TCP, one for UDP
    assert sent["took_out"] == groups * sent["nodes"]
    assert sent["put_back"] == groups * sent["nodes"]
