"""Which tool carries out which measurement type. The one table that knows all tools; `trial` knows none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path as FilePath

from testbed.inet import Protocol
from testbed.measurement.connect import connect_exchange
from testbed.measurement.host import Path
from testbed.measurement.iperf3 import iperf3_exchange
from testbed.measurement.ping import ping_exchange
from testbed.measurement.programming import ServiceChanger, programming_exchange
from testbed.measurement.readings import Exchange
from testbed.measurement.sockperf import sockperf_exchange
from testbed.measurement.workload import CONNECT, LATENCY, PING, PROGRAMMING, THROUGHPUT, Workload

_PACKAGES = {
    LATENCY: {"sockperf": "sockperf"},
    THROUGHPUT: {"iperf3": "iperf3"},
    CONNECT: {},
    PING: {"ping": "iputils-ping"},
    PROGRAMMING: {},
}


def required_programs(measurement_types: Iterable[str]) -> dict[str, str]:
    """Return the programs that measurements need, each with the Debian package that brings it, sorted."""
    needed = {program: package for kind in measurement_types for program, package in _PACKAGES[kind].items()}
    return dict(sorted(needed.items()))


def prepare_exchange(
    workload: Workload,
    protocol: str,
    path: Path,
    scratch_dir: FilePath,
    changer: ServiceChanger | None = None,
) -> Exchange:
    """Return what it takes to measure a workload over a path.

    Args:
        workload: of any type.
        protocol: one of PROTOCOLS_OF_TYPE[workload.type].
        path: where from and where to.
        scratch_dir: an existing directory for what tools write; nothing stays in it.
        changer: what adds the Service that a workload of type programming is about; others need none.
    """
    if workload.type == LATENCY:
        return sockperf_exchange(workload, Protocol(protocol), path, scratch_dir)
    if workload.type == THROUGHPUT:
        return iperf3_exchange(workload, Protocol(protocol), path, scratch_dir)
    if workload.type == CONNECT:
        return connect_exchange(workload, path, scratch_dir)
    if workload.type == PING:
        return ping_exchange(workload, path, scratch_dir)
    if workload.type == PROGRAMMING and changer is not None:
        return programming_exchange(workload, path, changer)
    raise ValueError(f"no tool carries out measurements of type '{workload.type}'")
