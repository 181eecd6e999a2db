"""Planning a run: what each variant builds and measures, and refusals that name the variant."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import CapacityError, SpecError
from testbed.runner.plan import RunPlan, plan_run
from testbed.spec.load import load_experiment

HEADER = "apiVersion: testbed/v1alpha1\nkind: Experiment\nmetadata: {name: demo}\nspec:\n"
EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def planned(tmp_path: Path, spec: str, *overrides: str) -> RunPlan:
    file = tmp_path / "demo.yaml"
    file.write_text(HEADER + spec, encoding="utf-8")
    return plan_run(load_experiment(file, overrides))


def refusal(tmp_path: Path, spec: str, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        planned(tmp_path, spec, *overrides)
    return str(caught.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize("file", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_experiments_can_be_planned(file: Path) -> None:
    few = ["services=[1, 5]"] if file.stem == "proxy-scaling" else []
    plan = plan_run(load_experiment(file, few))
    assert plan.trials
    assert all(plan.ends[trial.variant] for trial in plan.trials)


def test_swept_settings_of_a_measurement_reach_its_trials(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        """
  measurements: [{name: a, type: connect, paths: [hairpin]}]
  sweep: {"measurements[0].count": [11, 22]}
""",
    )
    assert {(trial.variant, trial.workload.count) for trial in plan.trials} == {
        ("count=11", 11),
        ("count=22", 22),
    }


def test_services_are_generated_and_aimed_at(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        """
  measurements: [{name: a, type: connect, paths: [first-service, last-service]}, {name: b, type: programming}]
  sweep: {services: [1, 30]}
""",
    )
    few, many = plan.plans["services=1"].state, plan.plans["services=30"].state
    assert len(many.services) - len(few.services) == 29
    ends = plan.ends["services=30"]
    first, last = ends["a", "TCP", "first-service"], ends["a", "TCP", "last-service"]
    assert many.services["testbed-paths/svc-00001"].cluster_ips == (first.address,)
    assert many.services["testbed-paths/svc-00030"].cluster_ips == (last.address,)
    assert (last.port, last.server_port, last.servers) == (8103, 7001, ("testbed-paths/other-node",))
    new = ends["b", "TCP", "new-service"]
    assert new.address == last.address + 1
    assert new.address not in {address for each in many.services.values() for address in each.cluster_ips}
    assert ("b", "TCP", "raw-veth") not in ends


def test_one_node_serves_generated_services_itself(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        """
  cluster: {nodes: 1}
  services: 2
  measurements: [{name: a, type: connect, paths: [last-service]}, {name: b, type: programming}]
""",
    )
    for key in (("a", "TCP", "last-service"), ("b", "TCP", "new-service")):
        assert plan.ends[""][key].servers == ("testbed-paths/same-node",)


def test_services_are_generated_beside_given_ends(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\n"
        "spec: {containers: [{name: a, image: b, ports: [{containerPort: 80}]}]}\n"
    )
    plan = planned(
        tmp_path,
        """
  manifests: [web.yaml]
  services: 3
  measurements: [{name: a, type: connect, from: {app: web}, to: {pod: {app: web}, port: 80}}]
""",
    )
    assert len(plan.plans[""].state.services) == 6


SCATTERED = """
  cluster: {nodes: 2, topology: topologies/leaf-spine.yaml}
  measurements: [{name: a, type: connect}]
  sweep:
    dataplane:
      ovs: {}
      flannel: {cluster.network: {plugin: flannel, backend: host-gw}, cluster.serviceProxy.mode: iptables}
    cluster.nodes: [2, 3]
"""


def test_a_refusal_of_one_variant_names_it_and_the_file(tmp_path: Path) -> None:
    for line in refusal(tmp_path, SCATTERED).splitlines():
        assert line.startswith(
            "demo.yaml:11:61: spec.cluster.network.backend: backend host-gw needs all nodes on one"
        )
        assert "in variant dataplane=flannel, nodes=" in line
    assert planned(tmp_path, SCATTERED, "dataplane=ovs").plans.keys() == {
        "dataplane=ovs, nodes=2",
        "dataplane=ovs, nodes=3",
    }


def test_too_many_services_for_the_range_are_refused(tmp_path: Path) -> None:
    spec = (
        "  cluster: {serviceCIDR: 10.96.0.0/28}\n  services: 20\n  measurements: [{name: a, type: connect}]\n"
    )
    with pytest.raises(CapacityError, match="widen serviceCIDR"):
        planned(tmp_path, spec)


def test_pods_that_do_not_run_are_told(tmp_path: Path) -> None:
    told = refusal(
        tmp_path,
        "  cluster: {nodes: 1, network: {plugin: none}}\n"
        "  measurements: [{name: a, type: connect, paths: [pod-same-node]}]\n",
    )
    assert (
        "demo.yaml:6:18: spec.measurements[0]: Pod testbed-paths/client of path pod-same-node is Pending"
        in told
    )
