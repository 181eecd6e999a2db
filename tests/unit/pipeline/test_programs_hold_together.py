"""Rules for all programs, an even spread, one result whatever the order, and changes at their own cost."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program_rules import broken_rules
from small_clusters import Built, built, cluster_of, cluster_spec, flows_of, pod, service, state_of

from controllers.desired import Desired
from controllers.pipeline.service import HASH_SLOTS, HASHED_BACKENDS_MAX, group_id, service_entries, spread
from controllers.pipeline.tables import (
    BRIDGES,
    INTEGRATION_BRIDGE,
    TABLES,
    Table,
    datapath_id,
    is_own_cookie,
    owner_cookie,
)
from testbed.cluster.changes import set_pod_ready
from testbed.dataplanes.openflow import Bucket, Flow, GotoTable, Group, SelectGroup, match
from testbed.dataplanes.program import NodeProgram, difference
from testbed.inet import Protocol
from testbed.intent import Backend, ClusterIntent, ServiceForward, ServicePortForward
from testbed.intent_from_cluster import compile_intent, recompile_services

DOCUMENTS = (
    *(pod(f"red{number}", "red") for number in range(5)),
    *(pod(f"blue{number}", "blue", ports=((53, "UDP"), (53, "TCP"))) for number in range(3)),
    service("red", "red"),
    service("blue", "blue", [(53, "UDP", 53), (53, "TCP", 53)]),
    service("both", "red", [(80, "TCP", 8080), (443, "TCP", 8080), (53, "UDP", 5353)]),
    service("empty", "nobody"),
)


# --- rules -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", ["single", "linear", "leaf-spine"])
@pytest.mark.parametrize("encapsulation", ["vxlan", "geneve", "none"])
def test_programs_keep_the_rules(encapsulation: str, topology: str) -> None:
    cluster = cluster_of(DOCUMENTS, encapsulation=encapsulation, topology=topology, nodes=4)
    for program in cluster.programs:
        assert broken_rules(program) == []
        assert {flow.table for flow in flows_of(program) if flow.bridge == INTEGRATION_BRIDGE} == set(Table)


@pytest.mark.parametrize(
    ("flow", "complaint"),
    [
        (Flow("br-int", 30, 1, match(), (GotoTable(20),), owner_cookie("x")), "goes back"),
        (Flow("br-int", 30, 1, match(), (GotoTable(31),), owner_cookie("x")), "unknown table 31"),
        (Flow("br-int", 30, 1, match(tcp_dst=80), (), owner_cookie("x")), "without"),
        (Flow("br-int", 30, 1, match(), (SelectGroup(1),), owner_cookie("x")), "no such group"),
        (Flow("br-int", 30, 1, match(), (), owner_cookie("y")), "cookie"),
        (Flow("br-phy", 30, 1, match(), (), owner_cookie("x")), "unknown table"),
    ],
)
def test_the_rules_can_be_broken(flow: Flow, complaint: str) -> None:
    (complaint_found,) = broken_rules(NodeProgram("n", {"x": (flow,)}))
    assert complaint in complaint_found


def test_every_table_is_described_and_numbered_upward() -> None:
    assert [spec.table for spec in TABLES] == sorted(Table)


def test_cookies_tell_ours_from_others() -> None:
    assert is_own_cookie(owner_cookie("Service/default/web"))
    assert owner_cookie("Service/default/web") != owner_cookie("Service/default/web2")
    assert not is_own_cookie(0)
    assert owner_cookie("node") < 1 << 64


def test_datapath_ids_differ() -> None:
    numbers = [datapath_id(index, bridge) for index in range(1, 201) for bridge in BRIDGES]
    assert len(set(numbers)) == len(numbers)


# --- spread ------------------------------------------------------------------------------------------------


def backends(count: int) -> tuple[Backend, ...]:
    return tuple(
        Backend(ip_address(f"10.244.{number // 200}.{number % 200 + 2}"), 80) for number in range(count)
    )


def dealt(buckets: tuple[Bucket, ...]) -> list[Bucket]:
    """Return the bucket of each hash value, as Open vSwitch deals them out (Webster's method)."""
    total, smallest = sum(one.weight for one in buckets), min(one.weight for one in buckets)
    values = max(16, 1 << (-(-total // smallest) - 1).bit_length())
    assert values <= HASH_SLOTS, "Open vSwitch would fall back to another method"
    seats = [0] * len(buckets)
    owners = []
    for _ in range(values):
        winner = max(range(len(buckets)), key=lambda index: buckets[index].weight / (2 * seats[index] + 1))
        seats[winner] += 1
        owners.append(buckets[winner])
    return owners


@pytest.mark.parametrize("count", range(1, HASHED_BACKENDS_MAX + 1))
def test_every_backend_gets_its_share_of_hash_values(count: int) -> None:
    shares = dict.fromkeys((backend.address for backend in backends(count)), 0)
    for bucket in dealt(spread(backends(count))):
        (action,) = bucket.actions
        shares[action.nat.address] += 1
    assert max(shares.values()) - min(shares.values()) <= 1
    assert max(shares.values()) <= 1.15 * sum(shares.values()) / count


def test_equal_weights_alone_would_not_do() -> None:
    """The reason for splitting a backend: ten equal buckets share sixteen values unevenly."""
    plain = tuple(Bucket(number, 1, ()) for number in range(1, 11))
    shares = [dealt(plain).count(bucket) for bucket in plain]
    assert (min(shares), max(shares)) == (1, 2)


def one_port_service(count: int, protocol: Protocol = Protocol.TCP) -> ServiceForward:
    address = ip_address("10.96.0.9")
    port = ServicePortForward(address, protocol, 80, 2, backends(count))
    return ServiceForward("default", "web", 9, (address,), (port,))


@pytest.mark.parametrize(
    ("count", "fields"), [(32, ()), (33, ("ipv4_src", "udp_src")), (300, ("ipv4_src", "udp_src"))]
)
def test_many_backends_are_chosen_by_address_and_port(count: int, fields: tuple[str, ...]) -> None:
    (group,) = [
        entry for entry in service_entries(one_port_service(count, Protocol.UDP)) if isinstance(entry, Group)
    ]
    assert group.hash_fields == fields
    assert {bucket.actions[0].nat.address for bucket in group.buckets} == {
        backend.address for backend in backends(count)
    }
    if fields:
        assert len({bucket.weight for bucket in group.buckets}) == 1


def test_group_ids_fit_and_differ() -> None:
    """A /12, the largest serviceCIDR that kube-apiserver takes, and all its addresses but broadcast."""
    service = one_port_service(1)
    largest = replace(service, number=2**20 - 2)
    last = replace(service.ports[0], slot=2**12 - 1)
    assert group_id(largest, last) < 0xFFFFFF00, "OFPG_MAX (OpenFlow 1.5, section 7.2.2.3)"
    numbers = {
        group_id(replace(service, number=number), replace(last, slot=slot))
        for number in range(5)
        for slot in range(4096)
    }
    assert len(numbers) == 5 * 4096


# --- order -------------------------------------------------------------------------------------------------


def texts(cluster: Built) -> list[str]:
    return [program.text() for program in cluster.programs]


@settings(max_examples=15, deadline=None)
@given(st.permutations(DOCUMENTS))
def test_the_order_of_objects_changes_no_flow(documents: list) -> None:
    assert texts(cluster_of(documents, nodes=3)) == texts(cluster_of(DOCUMENTS, nodes=3))


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_controller_holds_the_same_whatever_the_order(random) -> None:
    intent = cluster_of(DOCUMENTS, nodes=3).intent
    plain, mixed = snapshot(intent), snapshot(shuffled(intent, random))
    for node in intent.nodes:
        for bridge in BRIDGES:
            assert not difference(plain.entries(node, bridge), mixed.entries(node, bridge))


def shuffled(intent: ClusterIntent, random) -> ClusterIntent:
    def mixed(mapping):
        return dict(random.sample(list(mapping.items()), len(mapping)))

    local = {name: mixed(objects) for name, objects in mixed(intent.local).items()}
    return ClusterIntent(mixed(intent.nodes), mixed(intent.shared), local)


def snapshot(intent: ClusterIntent) -> Desired:
    desired = Desired()
    desired.replace(intent.nodes.values(), intent.shared, intent.local)
    return desired


def test_the_controller_holds_what_the_plugin_renders() -> None:
    cluster = cluster_of(DOCUMENTS, nodes=3, encapsulation="none")
    desired = snapshot(cluster.intent)
    for program in cluster.programs:
        rendered = [thing for thing in program.objects() if isinstance(thing, Flow | Group)]
        held = [entry for bridge in BRIDGES for entry in desired.entries(program.node, bridge)]
        assert not difference(rendered, held)
        assert len(rendered) == len(held)


def test_groups_come_before_the_flows_that_name_them() -> None:
    desired = snapshot(cluster_of(DOCUMENTS).intent)
    kinds = [isinstance(entry, Flow) for entry in desired.entries("node1", INTEGRATION_BRIDGE)]
    assert kinds == sorted(kinds)


# --- changes -----------------------------------------------------------------------------------------------


def test_an_endpoint_that_goes_touches_its_services_alone() -> None:
    spec = cluster_spec(nodes=3)
    before = built(state_of(DOCUMENTS, spec), spec)
    change = set_pod_ready(before.state, "default/red0", False)
    assert change.services == {"default/red", "default/both"}
    intent = recompile_services(before.intent, change.state, change.services)
    changed = {key: thing for key, thing in intent.shared.items() if thing is not before.intent.shared[key]}
    assert sorted(changed) == ["Service/default/both", "Service/default/red"]
    desired = snapshot(before.intent)
    untouched = {key: entries for key, entries in desired.shared.items() if key not in changed}
    (one, two) = desired.update_shared(changed, ())
    cookies = {entry.cookie for entry in (*one.after, *two.after) if isinstance(entry, Flow)}
    assert cookies == {owner_cookie(key) for key in changed}
    for step in (one, two):
        delta = difference(step.before, step.after)
        assert delta.replaced
        assert {type(thing) for thing in delta.replaced} == {Group}, "established flows stay as they are"
        assert not delta.added
        assert not delta.removed
    assert all(desired.shared[key] is entries for key, entries in untouched.items())
    after = compile_intent(change.state, before.underlay)
    for bridge in BRIDGES:
        assert not difference(desired.entries("node2", bridge), snapshot(after).entries("node2", bridge))


def test_an_update_that_changes_nothing_sends_nothing() -> None:
    intent = cluster_of(DOCUMENTS).intent
    assert snapshot(intent).update_shared(intent.shared, ("Service/default/unknown",)) == []


def test_a_service_that_goes_takes_its_entries_along() -> None:
    intent = cluster_of(DOCUMENTS).intent
    desired = snapshot(intent)
    (step,) = desired.update_shared({}, ("Service/default/blue",))
    assert step.before
    assert step.after == ()
    held = desired.entries("node1", INTEGRATION_BRIDGE)
    assert owner_cookie("Service/default/blue") not in {
        entry.cookie for entry in held if isinstance(entry, Flow)
    }


def test_a_pod_that_comes_or_goes_touches_its_own_node() -> None:
    intent = cluster_of(DOCUMENTS).intent
    desired = snapshot(intent)
    key, attachment = next(item for item in intent.local["node1"].items() if item[0].startswith("Pod/"))
    others = desired.entries("node2", INTEGRATION_BRIDGE)
    (gone,) = desired.update_local("node1", {}, (key,))
    (back,) = desired.update_local("node1", {key: attachment}, ())
    assert gone.before == back.after
    assert desired.entries("node2", INTEGRATION_BRIDGE) == others
