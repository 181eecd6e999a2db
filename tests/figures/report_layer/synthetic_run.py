"""A made-up run with figures like those of a real one, for the tests of records, analysis and report."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from testbed.records.samples import sample_table
from testbed.records.schema import (
    METRICS,
    CellRecord,
    HostLoad,
    Provenance,
    RunRecord,
    TopologyDrawing,
    TopologyLink,
    TrialRecord,
    TrialStatus,
)

PATHS = {
    "raw-veth": 1.0,
    "pod-same-node": 9.0,
    "pod-other-node": 14.0,
    "clusterip-same-node": 9.6,
    "clusterip-other-node": 14.9,
    "hairpin": 10.4,
}
SERVICE_PATHS = {"first-service": 14.9, "last-service": 14.9, "new-service": 1.0}
WORKLOADS = (
    ("latency", "latency", "TCP", 26.0, 2000),
    ("latency", "latency", "UDP", 22.0, 2000),
    ("throughput", "throughput", "TCP", 38e9, 10),
    ("connect", "connect", "TCP", 48.0, 1000),
    ("ping", "ping", "", 30.0, 200),
)
PROGRAMMING = (("programming", "programming", "", 4000.0, 10),)
ALSO_SAMPLED = {"programming": ("first_connection_us", 1.6)}
"""Measurement type to its second metric, and how much greater that is."""

Settings = dict[str, str | int | float | bool]
LOAD = HostLoad(busy=0.61, stolen=0.002, stalled=0.04, packets_dropped=0)


def leaf_spine(nodes: int = 4, spines: int = 2, pods_per_node: int = 5) -> TopologyDrawing:
    """A drawing of a leaf-spine underlay with two nodes to a leaf."""
    leaves = tuple(f"leaf-{i + 1}" for i in range((nodes + 1) // 2))
    tops = tuple(f"spine-{i + 1}" for i in range(spines))
    names = tuple(f"node-{i + 1}" for i in range(nodes))
    links = [TopologyLink(top, leaf, "10 Gbit/s") for top in tops for leaf in leaves]
    links += [TopologyLink(leaves[i // 2], name, "1 Gbit/s, 5 ms") for i, name in enumerate(names)]
    pods = {
        name: tuple(f"shop/frontend-{i}-{j}" for j in range(pods_per_node)) for i, name in enumerate(names)
    }
    return TopologyDrawing((), leaves + tops, names, tuple(links), pods)


def provenance() -> Provenance:
    """The facts of a plausible machine."""
    return Provenance(
        testbed_version="0.1.0",
        git_commit="3f1e0c5b6f0f4ad0b8d1c0e7a9b2d4c6e8f0a1b2",
        kernel="Linux 6.1.0-28-amd64 x86_64",
        engine="this kernel",
        processor="AMD EPYC 7763 64-Core Processor",
        processors=2,
        memory_mib=7936,
        programs={"iperf3": "iperf 3.12", "ovs-vswitchd": "ovs-vswitchd (Open vSwitch) 3.1.0"},
        packages={"numpy": "2.4.6", "ryu": "4.34"},
        sysctls={"net.ipv4.tcp_congestion_control": "cubic", "net.ipv4.tcp_rmem": "4096 131072 6291456"},
        offloads={"pod eth0": "tx off"},
        pinning={"client": "cpu 0", "server": "cpu 1"},
    )


def synthetic_run(
    variants: dict[str, Settings] | None = None,
    repeats: int = 5,
    seed: int = 1,
    fail: float = 0.0,
    datapath_type: str = "system",
    workloads: tuple[tuple[str, str, str, float, int], ...] = WORKLOADS,
    paths: tuple[str, ...] = tuple(PATHS),
    effect: Callable[[Settings, str], float] | None = None,
    noise: float = 0.03,
) -> tuple[RunRecord, pd.DataFrame]:
    """A run of the whole path matrix.

    `fail` is the share of trials that fail; `effect` how many times longer a path takes with some settings,
    each next variant 15 % more where there is none; `noise` how much repeats differ.
    """
    random = np.random.default_rng(seed)
    settings: dict[str, Settings] = {"": {}} if variants is None else variants
    trials: list[TrialRecord] = []
    samples: list[dict[str, np.ndarray]] = []
    for repeat in range(repeats):
        for number, (variant, swept) in enumerate(settings.items()):
            for name, kind, protocol, base, count in workloads:
                of_type = ("new-service",) if kind == "programming" else paths
                for path, factor in ((path, (PATHS | SERVICE_PATHS)[path]) for path in of_type):
                    failed = bool(random.random() < fail)
                    trials.append(
                        TrialRecord(
                            variant=variant,
                            settings=swept,
                            repeat=repeat,
                            measurement=name,
                            type=kind,
                            protocol=protocol,
                            path=path,
                            client="testbed-paths/client",
                            server="testbed-paths/server",
                            target="10.244.1.2:5000",
                            argv=("sockperf", "ping-pong", "-i", "10.244.1.2"),
                            started_s=2.0 * len(trials),
                            duration_s=2.0,
                            status=TrialStatus.FAILED if failed else TrialStatus.OK,
                            error="sockperf: Connection timed out after 5 s" if failed else "",
                            summary={} if failed else {"sent_packets": float(count)},
                            host_load=None if failed else LOAD,
                        )
                    )
                    more = 1 + 0.15 * number * (path != "raw-veth") if effect is None else effect(swept, path)
                    drift = factor * more * random.normal(1, noise)
                    shape = random.lognormal(0, 0.18, count) + (
                        random.random(count) < 0.01
                    ) * random.exponential(3, count)
                    values = (
                        base / drift * random.normal(1, noise, count)
                        if kind == "throughput"
                        else base * drift * shape
                    )
                    taken = {METRICS[kind]: np.round(values, 3)}
                    if kind in ALSO_SAMPLED:
                        metric, times = ALSO_SAMPLED[kind]
                        taken[metric] = np.round(values * times, 3)
                    samples.append({} if failed else taken)
    cells = tuple(
        CellRecord(variant, repeat, datapath_type, 1.4, 4, 20, 3, 1450)
        for repeat in range(repeats)
        for variant in settings
    )
    record = RunRecord(
        schema_version=1,
        experiment="service-paths",
        description="What a ClusterIP costs beside the Pod's own address, on the same node and across nodes.",
        spec={
            "cluster": {"network": {"plugin": "ovs", "encapsulation": "vxlan"}, "nodes": 4},
            "repeats": repeats,
            "sweep": {"cluster.network.encapsulation": ["vxlan", "geneve", "none"]},
        },
        seed=seed,
        started="2025-11-21T11:00:00+00:00",
        finished="2025-11-21T11:04:12+00:00",
        command=("testbed", "run", "experiments/service-paths.yaml"),
        provenance=provenance(),
        drawing=leaf_spine(),
        cells=cells,
        trials=tuple(trials),
    )
    return record, sample_table(samples)
