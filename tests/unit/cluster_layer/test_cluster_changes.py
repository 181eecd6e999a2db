"""Changes to a running cluster: what they touch, what they leave alone, and that nothing drifts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests_in_code import HTTP, endpoint_slice, pod, service, state_of, workload

from testbed.cluster.build import slices_of
from testbed.cluster.changes import (
    add_pod,
    add_service,
    delete_pod,
    next_cluster_ips,
    remove_service,
    set_pod_ready,
    set_pod_terminating,
)
from testbed.cluster.draft import draft_of_pod
from testbed.cluster.index import build_index
from testbed.cluster.services import services_of
from testbed.cluster.state import ClusterState, PodPhase, ServiceState
from testbed.errors import CapacityError, UsageError

WEB, DB = {"app": "web"}, {"app": "db"}


def small() -> ClusterState:
    return state_of(
        [
            pod("a", WEB), pod("b", WEB), pod("c", DB), service("web", WEB), service("db", DB),
            service("all-http", WEB, {"port": 80, "targetPort": "http"}),
        ]
    )  # fmt: skip


def rebuilt(state: ClusterState) -> ClusterState:
    """The same Pods and Services with everything that follows from them derived from scratch."""
    index = build_index(state.nodes, state.pods.values(), state.services.values())
    pods = [found for _, found in sorted(state.pods.items())]
    return replace(state, slices=slices_of(state.services, pods, state.manual_slices, index), index=index)


def test_readiness_touches_the_selecting_services_alone() -> None:
    before = small()
    change = set_pod_ready(before, "default/a", False)
    assert change.services == {"default/web", "default/all-http"}
    assert change.pods == {"default/a"}
    assert change.state.slices["default/db"] is before.slices["default/db"]
    assert change.state.services is before.services
    assert change.state.pods["default/b"] is before.pods["default/b"]
    assert before == small()


def test_no_change_is_no_change() -> None:
    before = small()
    change = set_pod_ready(before, "default/a", True)
    assert change.state is before
    assert not change.services


def test_and_back_again() -> None:
    before = small()
    after = set_pod_ready(set_pod_ready(before, "default/a", False).state, "default/a", True).state
    assert after == before


def test_a_service_that_leaves_the_pod_out_is_not_touched() -> None:
    objects = [pod("a", WEB, ports=()), service("web", WEB, {"port": 80, "targetPort": "http"})]
    assert set_pod_ready(state_of(objects), "default/a", False).services == frozenset()


def test_other_slices_of_a_large_service_stay() -> None:
    before = state_of([workload("Deployment", "web", replicas=150), service("web", WEB)], nodes=1)
    first, second = before.slices["default/web"]
    target = first.endpoints[0].target
    assert target is not None
    after = set_pod_ready(before, target.qualified_name, False).state.slices["default/web"]
    assert [one is old for one, old in zip(after, (first, second), strict=True)] == [False, True]


def test_deleted_addresses_are_given_out_again_lowest_first() -> None:
    state = state_of([pod(name, WEB) for name in "abcd"], nodes=1)
    freed = [state.pods[f"default/{name}"].addresses for name in "ab"]
    for name in "ba":
        state = delete_pod(state, f"default/{name}").state
    for name, addresses in zip("xy", freed, strict=True):
        state = add_pod(state, draft_of_pod(pod(name, WEB))).state
        assert state.pods[f"default/{name}"].addresses == addresses


def test_added_pod_joins_its_services_and_spreads() -> None:
    before = small()
    change = add_pod(before, draft_of_pod(pod("z", DB)))
    assert change.services == {"default/db"}
    assert change.state.pods["default/z"].node == "node2"
    assert change.state == rebuilt(change.state)


def test_a_pod_that_cannot_run_is_pending_and_touches_no_service() -> None:
    change = add_pod(small(), draft_of_pod(pod("z", WEB, nodeName="nowhere")))
    assert change.state.pods["default/z"].phase is PodPhase.PENDING
    assert change.services == frozenset()
    gone = delete_pod(change.state, "default/z").state
    assert gone == small()


def test_spread_by_owner_survives_changes() -> None:
    state = state_of([workload("Deployment", "web", replicas=2), pod("x", nodeName="node1")], nodes=2)
    gone = next(found for found in state.pods.values() if found.owner and found.node == "node2")
    draft = replace(draft_of_pod(pod("again", WEB)), owner=gone.owner)
    state = delete_pod(state, gone.qualified_name).state
    assert add_pod(state, draft).state.pods["default/again"].node == "node2"


@pytest.mark.parametrize("change", [delete_pod, set_pod_terminating])
def test_unknown_pods_are_named(change) -> None:
    with pytest.raises(UsageError, match="there is no Pod default/nobody"):
        change(small(), "default/nobody")


def test_impossible_changes() -> None:
    with pytest.raises(UsageError, match="there is a Pod default/a already"):
        add_pod(small(), draft_of_pod(pod("a")))
    pending = state_of([pod("p", nodeName="nowhere")])
    with pytest.raises(UsageError, match="Pod default/p is Pending"):
        set_pod_ready(pending, "default/p", True)


def service_state(state: ClusterState, name: str, selector: dict[str, str] | None = None) -> ServiceState:
    """A Service as a control plane would give it to the cluster: with the lowest free ClusterIP."""
    (address,) = next_cluster_ips(state, f"default/{name}")
    made = service(name, selector, clusterIP=str(address))
    (found,) = services_of([made], state.network.service_cidrs).values()
    return found


def test_an_added_service_is_what_it_would_have_been_from_the_start() -> None:
    before = small()
    change = add_service(before, service_state(before, "zoo", DB))
    assert (change.services, change.pods) == ({"default/zoo"}, frozenset())
    objects = [
        pod("a", WEB), pod("b", WEB), pod("c", DB), service("web", WEB), service("db", DB),
        service("all-http", WEB, {"port": 80, "targetPort": "http"}), service("zoo", DB),
    ]  # fmt: skip
    assert change.state == state_of(objects)
    assert change.state.index == state_of(objects).index
    assert change.state.slices["default/web"] is before.slices["default/web"]
    assert before == small()


def test_a_removed_service_leaves_nothing_behind() -> None:
    before = small()
    added = add_service(before, service_state(before, "new", {"app": "nobody"})).state
    change = remove_service(added, "default/new")
    assert change.services == {"default/new"}
    assert change.state == before
    assert change.state.index == before.index


def test_a_pod_joins_an_added_service() -> None:
    state = small()
    state = add_service(state, service_state(state, "zoo", {"app": "lion"})).state
    change = add_pod(state, draft_of_pod(pod("leo", {"app": "lion"})))
    assert change.services == {"default/zoo"}
    assert ready_endpoints(change.state, "zoo") == {str(change.state.pods["default/leo"].addresses[0])}


def test_services_that_cannot_be_added_or_removed() -> None:
    state = small()
    web = state.services["default/web"]
    with pytest.raises(UsageError, match="there is a Service default/web already"):
        add_service(state, web)
    with pytest.raises(CapacityError, match=f"{web.cluster_ips[0]} belongs to Service default/web"):
        add_service(state, replace(web, name="thief"))
    with pytest.raises(UsageError, match="there is no Service default/nothing"):
        remove_service(state, "default/nothing")


NAMES = ["a", "b", "c", "d", "e"]
STEPS = st.tuples(
    st.sampled_from(["ready", "unready", "terminate", "delete", "add", "add-udp", "serve", "unserve"]),
    st.sampled_from(NAMES),
)
UDP = {"name": "http", "containerPort": 8080, "protocol": "UDP"}


def stepped(state: ClusterState, step: str, name: str) -> ClusterState:
    key = f"default/{name}"
    if step == "serve":
        labels = WEB if name in "abc" else DB
        return (
            state if key in state.services else add_service(state, service_state(state, name, labels)).state
        )
    if step == "unserve":
        return remove_service(state, key).state if key in state.services else state
    if step.startswith("add"):
        ports = (UDP,) if step == "add-udp" else (HTTP,)
        labels = WEB if name in "abc" else DB
        return (
            state if key in state.pods else add_pod(state, draft_of_pod(pod(name, labels, ports=ports))).state
        )
    if key not in state.pods:
        return state
    if step == "delete":
        return delete_pod(state, key).state
    if step == "terminate":
        return set_pod_terminating(state, key).state
    return set_pod_ready(state, key, step == "ready").state


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_any_changes_equal_a_rebuild(steps) -> None:
    manual = endpoint_slice("db-manual", "db", ["192.0.2.1"])
    state = replace_services(small(), manual)
    for step, name in steps:
        state = stepped(state, step, name)
    fresh = rebuilt(state)
    assert state == fresh
    assert state.index == fresh.index
    addresses = [address for found in state.pods.values() for address in found.addresses]
    assert len(addresses) == len(set(addresses))
    assert all(found.addresses[0] in state.nodes[found.node].pod_cidrs[0] for found in state.pods.values())
    assert ready_endpoints(state, "web") == ready_pods(state, "web", needs_http=False)
    assert ready_endpoints(state, "all-http") == ready_pods(state, "web", needs_http=True)
    assert ready_endpoints(state, "db") == ready_pods(state, "db", needs_http=False) | {"192.0.2.1"}


def ready_endpoints(state: ClusterState, name: str) -> set[str]:
    ends = [end for one in state.slices[f"default/{name}"] for end in one.endpoints if end.ready]
    assert len(ends) == len({end.addresses for end in ends})
    return {str(address) for end in ends for address in end.addresses}


def ready_pods(state: ClusterState, app: str, *, needs_http: bool) -> set[str]:
    """The addresses of the Pods a Service should have, found the slow way."""
    return {
        str(found.addresses[0])
        for found in state.pods.values()
        if found.labels.get("app") == app and found.ready and not found.terminating
        if not needs_http or any((port.name, port.protocol) == ("http", "TCP") for port in found.ports)
    }


def replace_services(state: ClusterState, manual) -> ClusterState:
    """`state` with a manual slice beside the generated ones, and a Service by name of port."""
    other = state_of([service("db", DB), manual])
    return rebuilt(replace(state, manual_slices=other.manual_slices))


def test_a_state_without_index_answers_the_same() -> None:
    state = small()
    bare = replace(state, index=None)
    assert bare.pods_on("node1") == state.pods_on("node1")
    address = state.pods["default/a"].addresses[0]
    assert bare.pod_at(address) is state.pod_at(address) is state.pods["default/a"]
    assert set_pod_ready(bare, "default/a", False) == set_pod_ready(state, "default/a", False)
