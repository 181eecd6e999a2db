"""Links shaped as asked for: bandwidth, queue and loss, by tools of others. Delay: see test_faults."""

from __future__ import annotations

import re

import pytest
from laboratory import Findings, plan_of, run_scenarios
from scipy.stats import binom

from tests.combinations import Combination

ROUTED = Combination("ovs", "none", "ovs")
BANDWIDTH_BPS = 50_000_000
QUEUE_PACKETS = 77
LOSS = 0.2
PINGS = 400
_TCP_PAYLOAD_SHARE = 1448 / 1514
"""What is payload of a full Ethernet frame without encapsulation: IPv4, TCP and its timestamps taken off."""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    shape = {"bandwidth": "50Mbit", "queue": QUEUE_PACKETS}
    topology = {"type": "linear", "fabricLink": shape}
    plan = plan_of("shapes.yaml", topology=topology, combination=ROUTED)
    return run_scenarios("shaping", plan, {"queues": None, "throughput": 3}, tmp_path_factory.mktemp("slow"))


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    plan = plan_of("shapes.yaml", topology={"type": "linear", "fabricLink": {"loss": "20%"}})
    return run_scenarios("shaping", plan, {"loss": PINGS}, tmp_path_factory.mktemp("lossy"))


def test_bandwidth(slow: Findings) -> None:
    expected_bps = BANDWIDTH_BPS * _TCP_PAYLOAD_SHARE
    assert slow["throughput"] == pytest.approx(expected_bps, rel=0.1)


def test_the_queue_and_the_rate_are_visible(slow: Findings) -> None:
    ends = slow["queues"]
    assert len(ends) == 2
    for end in ends:
        kinds = {qdisc["kind"]: qdisc for qdisc in end["qdiscs"]}
        assert kinds["pfifo"]["options"]["limit"] == QUEUE_PACKETS
        assert "htb" in kinds
        assert "rate 50Mbit" in end["classes"]


def test_loss(lossy: Findings) -> None:
    printed = lossy["loss"]["stdout"]
    counts = re.search(r"(\d+) packets transmitted, (\d+) received", printed)
    assert counts is not None, lossy["loss"]
    sent, received = map(int, counts.groups())
    assert sent == PINGS
    arrives = (1 - LOSS) ** 2  # there and back, each on its own
    assert binom.ppf(1e-6, PINGS, arrives) <= received <= binom.isf(1e-6, PINGS, arrives)
