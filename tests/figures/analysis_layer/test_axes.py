import dataclasses

import pytest
from synthetic_run import Settings, synthetic_run
from synthetic_sweeps import PROXIES, dataplanes_run, proxy_scaling_run

from testbed.analysis.axes import Axis, Scaling, scaling_of, swept_axes
from testbed.analysis.frames import sorted_variants
from testbed.records.schema import RunRecord

SMALL = (("connect", "connect", "TCP", 48.0, 2),)


def record_of(*settings: Settings) -> RunRecord:
    variants = {", ".join(f"{key}={value}" for key, value in one.items()): one for one in settings}
    return synthetic_run(variants, repeats=1, workloads=SMALL, paths=("raw-veth",))[0]


def scaling_in(*settings: Settings) -> Scaling:
    found = scaling_of(record_of(*settings))
    assert found is not None
    return found


def test_axes_are_what_variants_differ_in_with_values_in_the_order_of_the_experiment() -> None:
    record, _ = proxy_scaling_run(sizes=(1000, 1, 20), repeats=1)
    assert swept_axes(record) == (
        Axis("dataplane", ("ovs", "iptables", "nftables")),
        Axis("services", (1000, 1, 20)),
    )
    assert [axis.is_number for axis in swept_axes(record)] == [False, True]
    assert swept_axes(synthetic_run(repeats=1, workloads=SMALL)[0]) == ()


def test_a_scaling_has_rising_numbers_and_the_other_axis_as_groups() -> None:
    found = scaling_of(proxy_scaling_run(sizes=(1000, 1, 20), repeats=1)[0])
    assert found is not None
    assert (found.key, found.numbers) == ("services", (1.0, 20.0, 1000.0))
    assert (found.group_key, found.groups) == ("dataplane", tuple(PROXIES))
    assert found.has_groups
    assert found.variants["iptables", 20.0] == "dataplane=iptables, services=20"
    assert len(found.variants) == 9


def test_a_number_alone_has_one_group_without_a_name() -> None:
    found = scaling_in({"services": 10}, {"services": 2})
    assert (found.numbers, found.groups, found.has_groups) == ((2.0, 10.0), ("",), False)
    assert found.variants["", 2.0] == "services=2"


@pytest.mark.parametrize(
    "settings",
    [
        [{"services": 1}],
        [{"a.b": "x"}, {"a.b": "y"}],
        [{"a.b": True}, {"a.b": False}],
        [{"a.b": 1}, {"a.b": "auto"}],
        [{"a.b": n, "c": c, "d": d} for n in (1, 2) for c in "xy" for d in "pq"],
    ],
    ids=["one number", "words", "yes and no", "a number and a word", "two axes beside it"],
)
def test_there_is_no_scaling_without_two_numbers_or_with_more_than_one_axis_beside(
    settings: list[Settings],
) -> None:
    assert scaling_of(record_of(*settings)) is None


def test_of_two_numbers_the_longer_is_the_axis() -> None:
    found = scaling_in(*({"a.nodes": nodes, "services": n} for nodes in (2, 4) for n in (1, 10, 100)))
    assert (found.key, found.group_key, found.groups) == ("services", "a.nodes", ("2", "4"))


def test_an_axis_with_one_value_does_not_count() -> None:
    found = scaling_in(*({"dataplane": "ovs", "services": n} for n in (1, 10)))
    assert (found.groups, found.has_groups) == (("",), False)


def test_a_combination_that_was_not_measured_is_missing() -> None:
    found = scaling_in({"d": "x", "n": 1}, {"d": "x", "n": 2}, {"d": "y", "n": 1})
    assert set(found.variants) == {("x", 1.0), ("x", 2.0), ("y", 1.0)}


def test_variants_follow_the_labels_of_a_named_axis_then_the_numbers() -> None:
    record, _ = proxy_scaling_run(sizes=(20, 1), repeats=1)
    turned = dataclasses.replace(record, cells=record.cells[::-1], trials=record.trials[::-1])
    expected = [f"dataplane={name}, services={n}" for name in PROXIES for n in (20, 1)]
    assert sorted_variants(record) == sorted_variants(turned) == expected


def test_six_dataplanes_are_one_axis_without_a_number() -> None:
    record, _ = dataplanes_run(repeats=1, workloads=SMALL)
    assert scaling_of(record) is None
    assert [len(axis.values) for axis in swept_axes(record)] == [6]
