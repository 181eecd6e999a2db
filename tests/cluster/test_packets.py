"""Single packets on a live cluster: no false names, one router for every address, long datagrams, ICMP."""

from __future__ import annotations

import pytest
from laboratory import Findings, plan_of, run_scenarios

from testbed.emulation.namespaces import pod_namespace
from testbed.runner.job import ClusterPlan
from tests.combinations import SERVED, Combination

ROUTER_MAC = "0e:00:00:00:00:01"
TARGETS = ("default/beside", "default/afar")
SIZES = (1500, 3000, 8000)


CHOSEN = [each for each in SERVED if each.most_nodes is None and not each.direct_routing]
guarded = pytest.mark.parametrize(
    "combination",
    [each for each in CHOSEN if each.plugin == "ovs"],
    ids=str,
    indirect=True,
    scope="module",
)
"""What Open vSwitch's pipeline promises: plugins on a Linux bridge check no sender and proxy no ARP."""


@pytest.fixture(scope="module", params=CHOSEN, ids=str)
def combination(request: pytest.FixtureRequest) -> Combination:
    found: Combination = request.param
    return found


@pytest.fixture(scope="module")
def plan(combination: Combination) -> ClusterPlan:
    return plan_of("packets.yaml", combination=combination)


@pytest.fixture(scope="module")
def findings(
    plan: ClusterPlan, combination: Combination, tmp_path_factory: pytest.TempPathFactory
) -> Findings:
    given: dict[str, object] = {"fragments": SIZES, "ping": [*pings(plan).values()]}
    if combination.plugin == "ovs":
        given |= {"spoofing": TARGETS, "arp": [*arp_answered(plan), *arp_unanswered(plan)]}
    return run_scenarios("packets", plan, given, tmp_path_factory.mktemp("packets"))


def address_of(plan: ClusterPlan, pod: str) -> str:
    return str(plan.state.pods[f"default/{pod}"].addresses[0])


def arp_answered(plan: ClusterPlan) -> list[tuple[str, str, str]]:
    targets = [
        str(plan.intent.nodes["node1"].gateway_addresses[0]),
        address_of(plan, "beside"),
        address_of(plan, "afar"),
        str(plan.state.services["default/afar"].cluster_ips[0]),
        "10.244.0.200",  # nobody has it
        "192.0.2.99",  # beyond the cluster
    ]
    return [("", "", target) for target in targets]


def arp_unanswered(plan: ClusterPlan) -> list[tuple[str, str, str]]:
    beside = address_of(plan, "beside")
    return [
        ("", "0.0.0.0", ""),  # duplicate address detection (RFC 5227)
        ("", "", ""),  # an announcement of its own address
        ("", beside, "10.244.0.1"),  # under another Pod's address
        ("02:66:66:66:66:66", "", "10.244.0.1"),  # under another MAC
    ]


def pings(plan: ClusterPlan) -> dict[str, tuple[str, str]]:
    sender = pod_namespace("default", "sender")
    return {
        "Pod to Pod on its node": (sender, address_of(plan, "beside")),
        "Pod to Pod on another node": (sender, address_of(plan, "afar")),
        "Pod to itself": (sender, address_of(plan, "sender")),
        "Pod to its gateway": (sender, str(plan.intent.nodes["node1"].gateway_addresses[0])),
        "node to its Pod": ("node1", address_of(plan, "beside")),
        "node to a Pod of another node": ("node1", address_of(plan, "afar")),
        "node to node": ("node1", str(plan.state.nodes["node2"].addresses[0])),
    }


@pytest.mark.parametrize("target", TARGETS)
@guarded
def test_nothing_arrives_under_a_false_name(target: str, findings: Findings) -> None:
    assert set(findings["spoofing"][target]) == {"honest"}


@guarded
def test_every_other_address_is_answered_by_the_virtual_router(plan: ClusterPlan, findings: Findings) -> None:
    asked = arp_answered(plan)
    for (_, _, target), replies in zip(asked, findings["arp"], strict=False):
        assert replies == [[target, ROUTER_MAC]]


@guarded
def test_questions_for_its_own_address_or_under_a_false_name_stay_unanswered(
    plan: ClusterPlan, findings: Findings
) -> None:
    replies = findings["arp"][len(arp_answered(plan)) :]
    assert len(replies) == 4
    assert replies == [[]] * 4


@pytest.mark.parametrize("to", ["Pod", "Service, after a short one"])
def test_datagrams_longer_than_the_mtu_arrive_whole(to: str, plan: ClusterPlan, findings: Findings) -> None:
    found = [each for each in findings["fragments"] if each["to"] == to]
    assert tuple(each["bytes"] for each in found) == SIZES
    service = plan.state.services["default/afar"].cluster_ips[0]
    aim = f"{address_of(plan, 'afar')}:9999" if to == "Pod" else f"{service}:99"
    for each in found:
        assert (each["there"], each["back"], each["from"]) == (True, True, aim), each


def test_icmp_echo_is_answered_once(plan: ClusterPlan, findings: Findings) -> None:
    for name, result in zip(pings(plan), findings["ping"], strict=True):
        assert "3 received" in result["stdout"], f"{name}: {result}"
        assert "duplicates" not in result["stdout"], f"{name}: {result['stdout']}"
