"""Named axes: settings that go together, what they come to, and choosing among them on the command line."""

from pathlib import Path

import pytest
import yaml

from testbed.errors import Finding, SpecError
from testbed.spec.load import Experiment, load_experiment, resolved_spec
from testbed.spec.sweep import told_once

HEADER = "apiVersion: testbed/v1alpha1\nkind: Experiment\nmetadata: {name: demo}\nspec:\n"
SPEC = """
  measurements: [{name: a, type: connect}]
  sweep:
    dataplane:
      plain: {}
      ovs-none: {cluster.network: {plugin: ovs, encapsulation: none}}
      flannel: {cluster.network.plugin: flannel, cluster.serviceProxy.mode: nftables}
    services: [1, 100]
"""


def load(tmp_path: Path, spec: str, *overrides: str) -> Experiment:
    file = tmp_path / "demo.yaml"
    file.write_text(HEADER + spec, encoding="utf-8")
    return load_experiment(file, overrides)


def labels(made: Experiment) -> list[str]:
    return [variant.label for variant in made.variants]


def refusal(tmp_path: Path, spec: str, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, spec, *overrides)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_label_stands_for_its_settings(tmp_path: Path) -> None:
    made = load(tmp_path, SPEC)
    assert labels(made) == [
        "dataplane=plain, services=1",
        "dataplane=plain, services=100",
        "dataplane=ovs-none, services=1",
        "dataplane=ovs-none, services=100",
        "dataplane=flannel, services=1",
        "dataplane=flannel, services=100",
    ]
    assert dict(made.variants[-1].settings) == {"dataplane": "flannel", "services": 100}
    clusters = [variant.spec.cluster for variant in made.variants[::2]]
    assert [cluster.network.plugin for cluster in clusters] == ["ovs", "ovs", "flannel"]
    assert [cluster.network.carrier_name for cluster in clusters] == ["vxlan", "none", "vxlan"]
    assert [cluster.service_proxy.mode for cluster in clusters] == ["ovs", "ovs", "nftables"]


def test_null_takes_a_key_of_the_experiment_away(tmp_path: Path) -> None:
    spec = """
  cluster: {network: {plugin: ovs, encapsulation: geneve}}
  measurements: [{name: a, type: connect}]
  sweep:
    dataplane:
      ovs: {}
      flannel: {cluster.network.plugin: flannel, cluster.network.encapsulation: null}
"""
    carriers = [variant.spec.cluster.network.carrier_name for variant in load(tmp_path, spec).variants]
    assert carriers == ["geneve", "vxlan"]


def test_a_file_may_stand_in_a_label(tmp_path: Path) -> None:
    spec = """
  measurements: [{name: a, type: connect}]
  sweep:
    shape:
      small: {cluster.topology: topologies/single.yaml}
      large: {cluster.topology: topologies/leaf-spine.yaml, cluster.topology.mtu: 9000}
"""
    topologies = [variant.spec.cluster.topology for variant in load(tmp_path, spec).variants]
    assert [(topology.type, topology.mtu) for topology in topologies] == [
        ("single", 1500), ("leaf-spine", 9000),
    ]  # fmt: skip


def test_the_resolved_spec_keeps_the_axes(tmp_path: Path) -> None:
    whole = "cluster.network: {plugin: flannel}"
    first = load(tmp_path, SPEC.replace("cluster.network.plugin: flannel", whole))
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(resolved_spec(first), sort_keys=False), encoding="utf-8")
    second = load_experiment(again)
    assert labels(second) == labels(first)
    for one, other in zip(first.variants, second.variants, strict=True):
        assert one.spec.cluster.network.carrier == other.spec.cluster.network.carrier


# --- the command line ---


def test_one_label_or_some_can_be_chosen(tmp_path: Path) -> None:
    one = load(tmp_path, SPEC, "dataplane=flannel", "services=100")
    assert labels(one) == ["dataplane=flannel"]
    assert one.variants[0].spec.services == 100
    some = load(tmp_path, SPEC, "dataplane=[flannel, plain]", "services=[5]")
    assert labels(some) == ["dataplane=plain, services=5", "dataplane=flannel, services=5"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "dataplane=flanel",
            "'flanel' is not a label of axis dataplane; allowed: plain, ovs-none, flannel;"
            " did you mean 'flannel'?",
        ),
        ("dataplane=[]", "no label is chosen; allowed: plain, ovs-none, flannel"),
        (
            "dataplane={a: b}",
            "'a mapping' is not a label of axis dataplane; allowed: plain, ovs-none, flannel",
        ),
        (
            "dataplan=flannel",
            "'dataplan' leads nowhere in an experiment's spec; known there: cluster, manifests,"
            " measurements, pinning, repeats, seed, services, sweep",
        ),
        (
            "cluster.network.mtu=1300",
            "the sweep over dataplane would overwrite it; choose there: --set dataplane=...",
        ),
    ],
)
def test_choices_that_cannot_be(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, SPEC, override) == f"--set {override}: {message}"


def test_a_setting_beside_the_axes_holds_for_all_variants(tmp_path: Path) -> None:
    made = load(tmp_path, SPEC, "cluster.nodes=7", "cluster.topology=topologies/leaf-spine.yaml")
    assert {len(variant.spec.cluster.nodes) for variant in made.variants} == {7}
    assert {variant.spec.cluster.topology.type for variant in made.variants} == {"leaf-spine"}


def test_a_list_replaces_swept_values_and_else_is_a_value(tmp_path: Path) -> None:
    spec = "  measurements: [{name: a, type: connect}]\n  sweep: {cluster.nodes: [2, 3]}\n"
    assert labels(load(tmp_path, spec, "cluster.nodes=[4, 5]")) == ["nodes=4", "nodes=5"]
    named = load(tmp_path, spec, "cluster.nodes=[{name: left}, {name: right}]")
    assert labels(named) == [""]
    assert [node.name for node in named.spec.cluster.nodes] == ["left", "right"]


# --- messages ---


def test_two_ways_to_write_a_path_are_one_path(tmp_path: Path) -> None:
    spec = """
  measurements: [{name: a, type: connect}]
  sweep: {"measurements[0].count": [1, 2], measurements.0.count: [3]}
"""
    assert "'measurements.0.count' overwrites what 'measurements[0].count' puts there" in refusal(
        tmp_path, spec
    )


def test_long_values_make_labels_that_differ(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        file = tmp_path / f"{'x' * 80}-{name}.yaml"
        file.write_text("apiVersion: testbed/v1alpha1\nkind: Topology\nspec: {type: single}\n")
        files.append(file.name)
    spec = f"  measurements: [{{name: a, type: connect}}]\n  sweep: {{cluster.topology: {files}}}\n"
    assert len(set(labels(load(tmp_path, spec)))) == 2


def test_values_that_would_look_alike_are_refused(tmp_path: Path) -> None:
    spec = "  measurements: [{name: a, type: connect}]\n  sweep: {seed: [1], cluster.nodes: [2, '2']}\n"
    assert "this value stands twice" in refusal(tmp_path, spec)


def test_a_finding_says_in_which_variants_it_is() -> None:
    everywhere, somewhere, once = (Finding("f", 1, 1, "p", what) for what in ("a", "b", "c"))
    told = told_once(
        {"x=1": [everywhere, somewhere], "x=2": [everywhere, somewhere, once], "x=3": [everywhere]}
    )
    assert [finding.what for finding in told] == [
        "a", "b, in variant x=1 and 1 more", "c, in variant x=2",
    ]  # fmt: skip
    assert told_once({"": [once]}) == (once,)
