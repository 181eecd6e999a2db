"""Cluster plans from whatever file a user names: experiment, cluster, topology or plain manifests. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from testbed.runner.job import ClusterPlan, plan_cluster
from testbed.spec.cluster import ClusterSpec
from testbed.spec.files import kind_of_file, load_topology
from testbed.spec.load import joined, load_cluster, load_experiment, load_manifests
from testbed.spec.manifests import Manifests


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
        manifests = joined(experiment.manifests, added)
        return manifests, plan_cluster(experiment.variants[0].spec.cluster, manifests)
    if kind == "Cluster":
        return added, plan_cluster(load_cluster(file), added)
    if kind == "Topology":
        return added, plan_cluster(ClusterSpec(topology=load_topology(file)), added)
    manifests = load_manifests([str(path) for path in (file, *extra)])
    return manifests, plan_cluster(ClusterSpec(), manifests)
