"""Experiments, clusters and topologies: defaults, included files, sweeps, overrides, and back to YAML."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from testbed.dataplanes.catalogue import NETWORK_PLUGINS, SERVICE_PROXIES
from testbed.errors import SpecError, UsageError
from testbed.spec.cluster import ClusterSpec
from testbed.spec.files import kind_of_file, load_topology
from testbed.spec.load import (
    CheckReport,
    Experiment,
    check_files,
    load_cluster,
    load_experiment,
    resolved_spec,
)
from testbed.spec.measurement import MATRIX, MeasurementSpec

GOOD = Path(__file__).parent / "good"
TOPOLOGIES = Path(__file__).parents[3] / "topologies"
HEADER = "apiVersion: testbed/v1alpha1\nkind: Experiment\nmetadata: {name: demo}\n"


def load(tmp_path: Path, spec: str, *overrides: str) -> Experiment:
    file = tmp_path / "demo.yaml"
    file.write_text(f"{HEADER}spec: {spec}\n", encoding="utf-8")
    return load_experiment(file, overrides)


def test_cluster_defaults() -> None:
    made = load_cluster(None)
    assert [node.name for node in made.nodes] == ["node1", "node2"]
    assert (made.pod_cidr, made.node_pod_prefix, made.service_cidr) == (
        IPv4Network("10.244.0.0/16"), 24, IPv4Network("10.96.0.0/16"),
    )  # fmt: skip
    assert (made.network.plugin, made.network.carrier_name, made.network.mtu) == ("ovs", "vxlan", "auto")
    assert made.service_proxy.mode == "ovs"
    assert (made.topology.type, made.topology.mtu, made.topology.node_cidr) == (
        "single", 1500, IPv4Network("172.20.0.0/16"),
    )  # fmt: skip
    assert made.topology.node_link.bandwidth is None


def test_a_cluster_file_and_the_topology_it_names() -> None:
    made = load_cluster(GOOD / "cluster.yaml")
    link = made.topology.node_link
    assert (link.bandwidth, link.delay, link.loss, link.queue) == (10**9, 1_500_000, 0.001, 100)
    assert (made.topology.leaves, made.topology.spines, made.topology.mtu) == (3, 2, 9000)
    assert made.nodes[0].labels == {"zone": "a"}
    assert made.images["nginx"].command == ("nginx", "-g", "daemon off;")
    assert (made.network.mtu, made.network.datapath_type, made.service_proxy.mode) == (1400, "netdev", "none")


@pytest.mark.parametrize(
    ("network", "carrier", "encapsulation", "proxy"),
    [
        ({"plugin": "ovs"}, "vxlan", "vxlan", "ovs"),
        ({"encapsulation": "none"}, "none", "none", "ovs"),
        ({"plugin": "flannel"}, "vxlan", "vxlan", "iptables"),
        ({"plugin": "flannel", "directRouting": True}, "vxlan", "vxlan", "iptables"),
        ({"plugin": "flannel", "backend": "host-gw"}, "host-gw", "none", "iptables"),
    ],
)
def test_carrier_and_service_proxy_follow_the_plugin(
    network: dict[str, object], carrier: str, encapsulation: str, proxy: str
) -> None:
    made = ClusterSpec.model_validate({"network": network})
    assert (made.network.carrier_name, made.network.carrier.encapsulation) == (carrier, encapsulation)
    assert made.service_proxy.mode == proxy


def test_a_cluster_without_plugin_has_no_proxy() -> None:
    made = ClusterSpec.model_validate({"nodes": 1, "network": {"plugin": "none"}})
    assert (made.network.carrier_name, made.service_proxy.mode) == ("", "none")


@pytest.mark.parametrize(
    ("network", "shown"),
    [
        ({}, {"plugin": "ovs", "mtu": "auto", "datapathType": "auto", "encapsulation": "vxlan"}),
        (
            {"plugin": "flannel", "backend": "host-gw", "mtu": 1500},
            {"plugin": "flannel", "mtu": 1500, "directRouting": False, "backend": "host-gw"},
        ),
        ({"plugin": "none"}, {"plugin": "none", "mtu": "auto"}),
    ],
)
def test_the_resolved_network_shows_what_applies_and_reads_back(
    network: dict[str, object], shown: dict[str, object]
) -> None:
    made = ClusterSpec.model_validate({"nodes": 1, "network": network})
    dumped = made.model_dump(mode="json", by_alias=True)
    assert dumped["network"] == shown
    again = ClusterSpec.model_validate(dumped)
    assert again.network.carrier == made.network.carrier
    assert again.model_dump(mode="json", by_alias=True) == dumped


@pytest.mark.parametrize("plugin", NETWORK_PLUGINS)
@pytest.mark.parametrize("mode", SERVICE_PROXIES)
def test_a_service_proxy_is_taken_or_refused_as_the_catalogue_says(plugin: str, mode: str) -> None:
    cluster = {"nodes": 1, "network": {"plugin": plugin}, "serviceProxy": {"mode": mode}}
    if mode in NETWORK_PLUGINS[plugin].service_proxies:
        assert ClusterSpec.model_validate(cluster).service_proxy.mode == mode
    else:
        with pytest.raises(ValueError, match=f"service proxy {mode} does not work with .* {plugin}"):
            ClusterSpec.model_validate(cluster)


@pytest.mark.parametrize("file", sorted(TOPOLOGIES.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_topologies(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = f"{{cluster: {{topology: topologies/{file.name}}}, measurements: [{{name: a, type: ping}}]}}"
    assert load(tmp_path, spec).spec.cluster.topology.type == file.stem


def test_a_file_beside_the_naming_one_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    topology = "apiVersion: testbed/v1alpha1\nkind: Topology\nspec: {type: linear, switches: %d}\n"
    (tmp_path / "t.yaml").write_text(topology % 3)
    (tmp_path / "deep" / "t.yaml").write_text(topology % 5)
    spec = "{cluster: {topology: t.yaml}, measurements: [{name: a, type: ping}]}"
    assert load(tmp_path / "deep", spec).spec.cluster.topology.switches == 5
    (tmp_path / "deep" / "t.yaml").unlink()
    assert load(tmp_path / "deep", spec).spec.cluster.topology.switches == 3


def measurement(**keys: object) -> MeasurementSpec:
    return MeasurementSpec.model_validate({"name": "a", **keys})


def test_measurement_defaults() -> None:
    latency, throughput = measurement(type="latency"), measurement(type="throughput")
    connect, ping = measurement(type="connect"), measurement(type="ping")
    assert (latency.protocols, throughput.protocols, connect.protocols, ping.protocols) == (
        ("TCP", "UDP"), ("TCP",), ("TCP",), (),
    )  # fmt: skip
    assert (latency.duration, latency.warmup, latency.message_size) == (2 * 10**9, 200 * 10**6, 64)
    assert (throughput.streams, throughput.bandwidth) == (1, 0)
    assert (connect.count, ping.count, ping.interval) == (1000, 200, 10 * 10**6)
    assert latency.paths == connect.paths == MATRIX
    assert ping.paths == ("raw-veth", "pod-same-node", "pod-other-node")


def test_raw_veth_is_always_measured_and_paths_are_in_order() -> None:
    assert measurement(type="latency", paths=["hairpin", "pod-same-node"]).paths == (
        "raw-veth", "pod-same-node", "hairpin",
    )  # fmt: skip
    assert measurement(type="connect", **{"from": {"a": "b"}, "to": {"service": "web"}}).paths == (
        "raw-veth",
    )


def test_programming_has_one_path_and_no_baseline() -> None:
    made = measurement(type="programming")
    assert (made.protocols, made.count, made.paths) == ((), 10, ("new-service",))
    assert made.model_dump(mode="json", by_alias=True) == {
        "name": "a", "type": "programming", "count": 10, "paths": ["new-service"],
    }  # fmt: skip


def test_paths_through_generated_services_come_last() -> None:
    assert measurement(type="connect", paths=["last-service", "hairpin", "first-service"]).paths == (
        "raw-veth", "hairpin", "first-service", "last-service",
    )  # fmt: skip


def test_generated_services_may_be_swept_from_none(tmp_path: Path) -> None:
    spec = "{measurements: [{name: a, type: connect, paths: [last-service]}], sweep: {services: [1, 20000]}}"
    made = load(tmp_path, spec)
    assert made.spec.services == 0
    assert [variant.spec.services for variant in made.variants] == [1, 20000]


def test_an_experiment_with_every_key() -> None:
    made = load_experiment(GOOD / "experiment.yaml")
    assert (made.name, made.description, made.spec.repeats, made.spec.seed) == (
        "everything", "every key of an experiment", 5, 42,
    )  # fmt: skip
    assert [variant.label for variant in made.variants] == [
        "encapsulation=vxlan, size=small",
        "encapsulation=vxlan, size=large",
        "encapsulation=none, size=small",
        "encapsulation=none, size=large",
    ]
    last = made.variants[-1]
    assert dict(last.settings) == {"cluster.network.encapsulation": "none", "size": "large"}
    assert (last.spec.cluster.network.encapsulation, last.spec.measurements[0].message_size) == ("none", 1400)
    assert (last.spec.services, made.spec.services) == (200, 100)
    assert made.spec.cluster.network.encapsulation == "geneve"
    assert not last.spec.sweep
    assert (made.spec.pinning.client, made.spec.pinning.server) == (0, 1)


def test_without_a_sweep_there_is_one_variant(tmp_path: Path) -> None:
    made = load(tmp_path, "{measurements: [{name: a, type: ping}]}")
    assert [(variant.label, dict(variant.settings)) for variant in made.variants] == [("", {})]
    assert made.variants[0].spec == made.spec


def test_settings_with_equal_last_words_keep_their_paths(tmp_path: Path) -> None:
    made = load(
        tmp_path,
        "{measurements: [{name: a, type: connect}, {name: b, type: connect}],"
        " sweep: {'measurements[0].count': [1], measurements.1.count: [2]}}",
    )
    assert [variant.label for variant in made.variants] == ["measurements[0].count=1, measurements.1.count=2"]


def test_a_sweep_over_topology_files(tmp_path: Path) -> None:
    files = [f"topologies/{name}.yaml" for name in ("single", "tree")]
    made = load(
        tmp_path, f"{{measurements: [{{name: a, type: ping}}], sweep: {{cluster.topology: {files}}}}}"
    )
    assert [variant.spec.cluster.topology.type for variant in made.variants] == ["single", "tree"]


def test_overrides(tmp_path: Path) -> None:
    spec = "{measurements: [{name: a, type: ping}], sweep: {cluster.network.mtu: [1000, 1200]}}"
    made = load(tmp_path, spec, "repeats=7", "cluster.nodes=[{name: a}, {name: b}]", "measurements.0.count=9")
    assert (made.spec.repeats, made.spec.measurements[0].count) == (7, 9)
    assert [node.name for node in made.spec.cluster.nodes] == ["a", "b"]
    assert len(made.variants) == 2
    fixed = load(tmp_path, spec, "cluster.network.mtu=1300", "cluster.topology=topologies/linear.yaml")
    assert [variant.spec.cluster.network.mtu for variant in fixed.variants] == [1300]
    assert fixed.spec.cluster.topology.type == "linear"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cluster.netwrk.mtu=5", "--set cluster.netwrk.mtu=5: 'netwrk' leads nowhere"),
        ("measurements.4.count=5", "the experiment has nothing at 'measurements.4.count'"),
        ("repeats=[", "--set repeats=[:"),
        ("repeats=0", "--set repeats=0: spec.repeats: 0 is not a number of repeats"),
        ("cluster=none.yaml", "--set cluster=none.yaml: spec.cluster: there is no file 'none.yaml'"),
    ],
)
def test_overrides_that_do_not_fit(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, "{measurements: [{name: a, type: ping}]}", override)
    assert message in str(caught.value)


@pytest.mark.parametrize("override", ["repeats", "=5", ""])
def test_overrides_that_are_none(tmp_path: Path, override: str) -> None:
    with pytest.raises(UsageError, match="write path=value"):
        load(tmp_path, "{measurements: [{name: a, type: ping}]}", override)


def test_the_resolved_spec_loads_as_the_same_experiment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(GOOD)
    first = load_experiment("experiment.yaml")
    file = tmp_path / "again.yaml"
    file.write_text(yaml.safe_dump(resolved_spec(first), sort_keys=False), encoding="utf-8")
    second = load_experiment(file)
    assert resolved_spec(second) == resolved_spec(first)
    assert [variant.label for variant in second.variants] == [variant.label for variant in first.variants]
    for again, variant in zip(second.variants, first.variants, strict=True):
        assert again.spec.cluster == variant.spec.cluster
        assert again.spec.model_dump(mode="json", by_alias=True) == variant.spec.model_dump(
            mode="json", by_alias=True
        )


def test_errors_of_all_files_come_together(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: A}\nspec: {containers: []}\n"
    )
    with pytest.raises(SpecError) as caught:
        load(tmp_path, "{manifests: [pod.yaml], measurements: [], repeats: 0, sweep: {nodes: [1]}}")
    assert sorted({Path(item.file).name for item in caught.value.findings}) == ["demo.yaml", "pod.yaml"]
    assert len(caught.value.findings) == 4


def test_a_namespace_may_stand_in_another_of_the_checked_files(tmp_path: Path) -> None:
    namespace, pod = tmp_path / "a.yaml", tmp_path / "b.yaml"
    namespace.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    pod.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\n"
        "spec: {containers: [{name: a, image: b}]}\n"
    )
    report = check_files([namespace, pod, pod])
    assert isinstance(report, CheckReport)
    assert dict(report.kinds) == {"Namespace": 1, "Pod": 1}
    with pytest.raises(SpecError, match="namespace 'shop' does not exist"):
        check_files([pod])


def test_the_kind_of_a_file(tmp_path: Path) -> None:
    names = ("experiment", "cluster", "topology", "application")
    assert [kind_of_file(GOOD / f"{name}.yaml") for name in names] == [
        "Experiment",
        "Cluster",
        "Topology",
        "",
    ]
    with pytest.raises(SpecError, match="there is no such file"):
        kind_of_file(tmp_path / "none.yaml")


def test_a_topology_file() -> None:
    assert load_topology(GOOD / "topology.yaml") == load_cluster(GOOD / "cluster.yaml").topology
    with pytest.raises(SpecError, match="expected: Topology"):
        load_topology(GOOD / "cluster.yaml")
