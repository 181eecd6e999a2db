"""Cluster plans from whatever file a user names: experiment, cluster, topology or plain manifests. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from testbed.errors import Finding, SpecError
from testbed.runner.job import ClusterPlan, plan_cluster
from testbed.spec.cluster import ClusterSpec
from testbed.spec.files import kind_of_file, load_topology
from testbed.spec.load import joined, load_cluster_tree, load_experiment, load_manifests
from testbed.spec.manifests import Manifests
from testbed.spec.tree import Node, at_its_place


def plan_of_manifests(cluster: ClusterSpec, manifests: Manifests) -> ClusterPlan:
    """Return the plan of a cluster with these objects."""
    return plan_cluster(cluster, manifests)


def plan_of_file(file: Path, extra: Sequence[Path]) -> tuple[Manifests, ClusterPlan]:
    """Return the objects and the plan of the cluster that a file describes, with extra manifests put in.

    Raises:
        SpecError, CapacityError: a file says something that cannot be.
    """
    added = load_manifests([str(path) for path in extra])
    kind = kind_of_file(str(file))
    if kind == "Experiment":
        experiment = load_experiment(file)
        manifests, first = joined(experiment.manifests, added), experiment.variants[0]
        return manifests, _placed(lambda: plan_cluster(first.spec.cluster, manifests), first.placed)
    if kind == "Cluster":
        cluster, root = load_cluster_tree(file)
        return added, _placed(lambda: plan_cluster(cluster, added), partial(_in_cluster_file, root))
    if kind == "Topology":
        return added, plan_cluster(ClusterSpec(topology=load_topology(file)), added)
    manifests = load_manifests([str(path) for path in (file, *extra)])
    return manifests, plan_cluster(ClusterSpec(), manifests)


def _placed(plan: Callable[[], ClusterPlan], at_place: Callable[[Finding], Finding]) -> ClusterPlan:
    """Return what is planned; what stands against it is told with its place in the files."""
    try:
        return plan()
    except SpecError as error:
        raise SpecError([at_place(each) for each in error.findings]) from error


def _in_cluster_file(root: Node, each: Finding) -> Finding:
    """A Cluster's own file has no `cluster` above its keys."""
    return at_its_place(root, replace(each, path=each.path.replace("spec.cluster", "spec", 1)))
