"""From the YAML's form of a measurement to the plain one; both sides know the same paths."""

from __future__ import annotations

from typing import Any

from testbed.measurement.paths import path_descriptions
from testbed.measurement.workload import PROTOCOLS_OF_TYPE, Workload, workload_from_spec
from testbed.spec import measurement
from testbed.spec.measurement import MeasurementSpec


def workload(**fields: Any) -> Workload:
    return workload_from_spec(MeasurementSpec.model_validate({"name": "m", **fields}))


def test_spec_and_matrix_name_the_same_paths_and_types() -> None:
    one, two = path_descriptions(1, services=1), path_descriptions(2, services=1)
    assert tuple(two) == measurement.PATHS
    assert two.keys() - one.keys() == measurement.OTHER_NODE_PATHS
    assert two.keys() - path_descriptions(2).keys() == set(measurement.GENERATED_PATHS)
    assert set(PROTOCOLS_OF_TYPE) == set(measurement.MEASUREMENT_TYPES)


def test_programming_counts_services_and_has_no_baseline() -> None:
    change = workload(type="programming", count=7)
    assert (change.protocols, change.paths, change.count) == (("TCP",), ("new-service",), 7)


def test_latency() -> None:
    assert workload(type="latency", duration="1500ms", paths=["hairpin"]) == Workload(
        name="m",
        type="latency",
        protocols=("TCP", "UDP"),
        paths=("raw-veth", "hairpin"),
        duration_s=1.5,
        warmup_s=0.2,
        message_bytes=64,
        count=1000,
        interval_s=0.25,
    )


def test_throughput_has_a_few_samples_and_leaves_sizes_to_the_tool() -> None:
    bulk = workload(type="throughput", protocols=["UDP"], duration="800ms", bandwidth="100M", streams=2)
    assert (bulk.interval_s, bulk.message_bytes, bulk.streams) == (0.2, None, 2)
    assert bulk.bandwidth_bps == 100e6
    assert workload(type="throughput").bandwidth_bps is None


def test_ping_is_icmp_at_its_interval() -> None:
    ping = workload(type="ping", count=10, interval="20ms")
    assert (ping.protocols, ping.count, ping.interval_s) == (("ICMP",), 10, 0.02)
    assert ping.paths == ("raw-veth", "pod-same-node", "pod-other-node")


def test_given_ends_are_a_path_of_their_own() -> None:
    ends = {"from": {"app": "client"}, "to": {"service": "frontend"}}
    assert workload(type="connect", **ends).paths == ("raw-veth", "given-ends")
