"""The Service of programming: what it changes in a cluster, and that it leaves no trace."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from testbed.cluster.changes import next_cluster_ips
from testbed.cluster.state import ClusterState
from testbed.errors import RunFailed
from testbed.intent import ClusterIntent, ServiceForward
from testbed.intent_from_cluster import compile_intent
from testbed.measurement.paths import path_manifests
from testbed.runner.job import plan_cluster
from testbed.runner.new_service import NewService
from testbed.spec.cluster import ClusterSpec
from testbed.spec.load import parse_manifests

NAME = "testbed-paths/svc-new"


class Cluster:
    """A running cluster that takes every change, or none."""

    def __init__(self) -> None:
        plan = plan_cluster(ClusterSpec(), parse_manifests(path_manifests(["node1", "node2"], 5)))
        self.state = plan.state
        self.intent = plan.intent
        self.underlay = plan.underlay
        self.owners: list[Collection[str]] = []
        self.refuses = False

    def change(self, state: ClusterState, intent: ClusterIntent, owners: Collection[str]) -> None:
        if self.refuses:
            raise RunFailed("node2 does not take it")
        self.state, self.intent = state, intent
        self.owners.append(owners)


def new_service(cluster: Cluster) -> NewService:
    return NewService(cluster, next_cluster_ips(cluster.state, NAME)[0], 8103)


def test_it_comes_and_goes_without_a_trace() -> None:
    cluster = Cluster()
    state, intent = cluster.state, cluster.intent
    change = new_service(cluster)
    change.add()
    added = cluster.intent.shared[f"Service/{NAME}"]
    assert isinstance(added, ServiceForward)
    assert added.addresses == (change.address,)
    (forward,) = added.ports
    assert (forward.port, [backend.port for backend in forward.backends]) == (8103, [7001])
    assert cluster.intent == compile_intent(cluster.state, cluster.underlay)
    assert max(cluster.intent.shared) == f"Service/{NAME}"
    change.remove()
    assert (cluster.state, cluster.intent) == (state, intent)
    assert cluster.owners == [{f"Service/{NAME}"}] * 2


def test_what_did_not_change_keeps_its_identity() -> None:
    cluster = Cluster()
    before = dict(cluster.intent.shared)
    new_service(cluster).add()
    assert all(cluster.intent.shared[key] is thing for key, thing in before.items())


def test_a_cluster_that_refuses_stays_as_it_was_and_one_that_keeps_it_is_told() -> None:
    cluster = Cluster()
    change = new_service(cluster)
    cluster.refuses = True
    with pytest.raises(RunFailed, match="node2 does not take it"):
        change.add()
    cluster.refuses = False
    change.add()
    cluster.refuses = True
    with pytest.raises(RunFailed, match="node2 does not take it"):
        change.remove()
    with pytest.raises(RunFailed, match=f"Service {NAME} is still there from an earlier change"):
        change.add()
