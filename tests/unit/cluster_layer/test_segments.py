"""Nodes behind several routers are refused where their network plugin cannot cross one."""

from __future__ import annotations

import pytest
from manifests_in_code import cluster

from testbed.cluster.segments import refuse_scattered_nodes
from testbed.cluster.underlay_plan import plan_underlay
from testbed.errors import SpecError
from testbed.spec.cluster import ClusterSpec

HOST_GW = {"plugin": "flannel", "backend": "host-gw"}
TWO_LEAVES = {"type": "leaf-spine", "leaves": 2}


def check(made: ClusterSpec) -> None:
    refuse_scattered_nodes(made.network, plan_underlay(made.topology, [node.name for node in made.nodes]))


def refusal(made: ClusterSpec) -> str:
    with pytest.raises(SpecError) as caught:
        check(made)
    return str(caught.value)


@pytest.mark.parametrize("topology", ["single", "linear", "tree"])
def test_switches_alone_are_one_segment(topology: str) -> None:
    check(cluster(nodes=5, network=HOST_GW, topology={"type": topology}))


@pytest.mark.parametrize(
    "network", [{}, {"encapsulation": "none"}, {"plugin": "flannel"}, {"plugin": "none"}]
)
def test_other_ways_cross_routers(network: dict[str, str]) -> None:
    check(cluster(nodes=4, network=network, topology=TWO_LEAVES))


def test_one_leaf_is_one_segment() -> None:
    check(cluster(nodes=3, network=HOST_GW, topology={"type": "leaf-spine", "leaves": 1}))
    check(cluster(nodes=1, network=HOST_GW, topology=TWO_LEAVES))


def test_the_message_names_the_nodes_by_router() -> None:
    assert refusal(cluster(nodes=4, network=HOST_GW, topology=TWO_LEAVES)) == (
        "cluster: spec.cluster.network.backend: backend host-gw needs all nodes on one segment: "
        "node1, node3 are behind router leaf1; node2, node4 are behind router leaf2; "
        "use backend vxlan (with directRouting, plain within a segment), or a topology without routers"
    )


def test_many_nodes_are_counted() -> None:
    told = refusal(cluster(nodes=21, network=HOST_GW, topology=TWO_LEAVES))
    assert "node13, node15 and 3 more are behind router leaf1; " in told
    assert "node14, node16 and 2 more are behind router leaf2; " in told
    assert "node3 is behind router leaf3; " in refusal(
        cluster(nodes=3, network=HOST_GW, topology={"type": "leaf-spine", "leaves": 3})
    )
