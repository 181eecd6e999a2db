"""The outside of a scenario: plans a cluster, runs scenarios on it in a sandbox, hands tests what they found.

A scenario is a function of a module of `scenarios`. It runs as process 1 of a sandbox, where the
cluster is, and returns a JSON object; the tests out here assert on it. One cluster serves many scenarios.
"""

from __future__ import annotations

import base64
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from testbed.emulation.namespaces import pod_namespace
from testbed.emulation.prober import Attempt
from testbed.emulation.sandbox import run_in_sandbox
from testbed.errors import TestbedError
from testbed.inet import IPAddress, Protocol
from testbed.runner.job import ClusterPlan, plan_cluster
from testbed.spec.cluster import ClusterSpec
from testbed.spec.kubernetes import Pod
from testbed.spec.load import load_manifests
from testbed.spec.manifests import Manifests
from tests.combinations import COMBINATIONS, Combination

INPUTS = Path(__file__).with_name("inputs")
SCENARIOS = "scenarios"


@dataclass(slots=True)
class Findings:
    """What each scenario of a sandbox found; `failure` is why the sandbox ended early, if it did."""

    found: dict[str, Any] = field(default_factory=dict)
    failure: str = ""

    def __getitem__(self, scenario: str) -> Any:
        if scenario not in self.found:
            pytest.fail(
                f"the scenario {scenario} did not come to its end: {self.failure or '(no reason given)'}"
            )
        return self.found[scenario]


def plan_of(
    *manifests: str,
    nodes: int = 2,
    topology: Mapping[str, object] | None = None,
    combination: Combination = COMBINATIONS[0],
) -> ClusterPlan:
    """Plan a cluster with manifests of `inputs`; a plugin that joins no nodes gets all Pods on one node."""
    nodes = min(nodes, combination.most_nodes or nodes)
    spec = ClusterSpec.model_validate(
        {"topology": topology or {"type": "single"}, "nodes": nodes, **combination.spec()}
    )
    loaded = load_manifests([INPUTS / name for name in manifests])
    return plan_cluster(spec, loaded if nodes > 1 else _on_one_node(loaded))


def _on_one_node(manifests: Manifests) -> Manifests:
    """Return manifests whose Pods ask for no other node than the first."""
    moved = []
    for manifest in manifests.manifests:
        thing = manifest.object
        if isinstance(thing, Pod) and thing.spec.node_name:
            thing = thing.model_copy(update={"spec": thing.spec.model_copy(update={"node_name": "node1"})})
        moved.append(replace(manifest, object=thing))
    return replace(manifests, manifests=tuple(moved))


def run_scenarios(module: str, plan: ClusterPlan, given: Mapping[str, object], folder: Path) -> Findings:
    """Build a cluster and run scenarios on it, in the order of `given`, which has what each of them takes.

    Args:
        module: a module of `scenarios`.
        plan: the cluster.
        given: the scenario's name to its argument.
        folder: takes the sandbox's log.
    """
    findings = Findings()

    def take(event: dict[str, Any]) -> None:
        findings.found[event["scenario"]] = event["value"]

    job = {"pickle": base64.b64encode(pickle.dumps((plan, dict(given)))).decode()}
    try:
        run_in_sandbox(f"{SCENARIOS}.{module}", job, take, folder / "sandbox.log")
    except TestbedError as error:
        findings.failure = str(error)
    return findings


def attempt(source: str, target: str, address: IPAddress, protocol: Protocol, port: int) -> Attempt:
    """Return an attempt from a Pod, given as `namespace/name`."""
    return Attempt(pod_namespace(*source.split("/", 1)), source, target, address, protocol, port)
