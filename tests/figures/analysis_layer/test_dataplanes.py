import dataclasses

from synthetic_run import synthetic_run
from synthetic_sweeps import dataplanes_run, proxy_scaling_run

from testbed.analysis.dataplanes import Dataplane, dataplane_of, dataplanes_of
from testbed.report.dataplanes import dataplane_words

SMALL = (("connect", "connect", "TCP", 48.0, 2),)
RECORD, _ = synthetic_run(repeats=1, workloads=SMALL, paths=("raw-veth",))


def test_a_run_without_a_sweep_has_the_dataplane_of_its_spec() -> None:
    network = {"plugin": "flannel", "backend": "host-gw", "directRouting": False}
    spec = {"spec": {"cluster": {"network": network, "serviceProxy": {"mode": "nftables"}}}}
    record = dataclasses.replace(RECORD, spec=spec)
    assert dataplane_of(record, {}) == Dataplane("flannel", "host-gw", "nftables")
    assert dataplanes_of(record) == (Dataplane("flannel", "host-gw", "nftables"),)


def test_a_swept_path_stands_above_the_spec() -> None:
    settings = {"cluster.network.encapsulation": "geneve", "services": 5}
    assert dataplane_of(RECORD, settings) == Dataplane("ovs", "geneve", "ovs")


def test_a_label_of_a_named_axis_stands_for_its_settings() -> None:
    record, _ = dataplanes_run(repeats=1, workloads=SMALL)
    assert dataplane_of(record, {"dataplane": "flannel-host-gw-iptables"}) == Dataplane(
        "flannel", "host-gw", "iptables"
    )
    assert dataplane_of(record, {"dataplane": "ovs-none"}) == Dataplane("ovs", "none", "ovs")
    assert len(dataplanes_of(record)) == 6


def test_another_plugin_has_nothing_of_what_the_spec_says_about_its_own() -> None:
    assert dataplane_of(RECORD, {"cluster.network.plugin": "flannel"}) == Dataplane(
        "flannel", "vxlan", "iptables"
    )
    assert dataplane_of(RECORD, {"cluster.network.plugin": "none"}) == Dataplane("none", "", "none")


def test_direct_routing_is_part_of_a_dataplane_where_its_plugin_is() -> None:
    network = {"plugin": "flannel", "backend": "vxlan", "directRouting": True}
    record = dataclasses.replace(RECORD, spec={"cluster": {"network": network}})
    assert dataplane_of(record, {}) == Dataplane("flannel", "vxlan", "iptables", routes_directly=True)
    assert not dataplane_of(record, {"cluster.network.directRouting": False}).routes_directly
    assert not dataplane_of(record, {"cluster.network.plugin": "ovs"}).routes_directly
    assert dataplane_words(dataplane_of(record, {})).startswith("Flannel with VXLAN and direct routing, ")


def test_what_is_not_known_is_not_made_up() -> None:
    bare = dataclasses.replace(RECORD, spec={})
    assert dataplane_of(bare, {}) == Dataplane("", "", "")
    assert dataplane_of(bare, {"cluster.network.plugin": "cilium"}) == Dataplane("cilium", "", "")


def test_numbers_of_services_make_no_other_dataplane() -> None:
    record, _ = proxy_scaling_run(sizes=(1, 5), repeats=1)
    assert {plane.proxy for plane in dataplanes_of(record)} == {"ovs", "iptables", "nftables"}
    assert len(dataplanes_of(record)) == 3
