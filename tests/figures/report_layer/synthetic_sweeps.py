"""Made-up runs that compare dataplanes: over a named axis alone, and beside a number of Services."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd
from synthetic_run import PROGRAMMING, WORKLOADS, Settings, synthetic_run

from testbed.records.schema import CellRecord, RunRecord

Workload = tuple[str, str, str, float, int]
"""Name, type, protocol, value of raw veth, and samples a trial."""

Workload = tuple[str, str, str, float, int]
"""Name, type, protocol, value of raw veth, and samples a trial."""

LATENCY_TCP, LATENCY_UDP, THROUGHPUT, CONNECT, PING = ((workload,) for workload in WORKLOADS)
MATRIX = (*LATENCY_TCP, *LATENCY_UDP, *CONNECT, *THROUGHPUT)

OVS = {"cluster.network.plugin": "ovs"}
FLANNEL = {"cluster.network.plugin": "flannel"}
DATAPLANES = {
    "ovs-vxlan": OVS | {"cluster.network.encapsulation": "vxlan"},
    "ovs-none": OVS | {"cluster.network.encapsulation": "none"},
    **{
        f"flannel-{backend}-{proxy}": FLANNEL
        | {"cluster.network.backend": backend, "cluster.serviceProxy.mode": proxy}
        for backend in ("vxlan", "host-gw")
        for proxy in ("iptables", "nftables")
    },
}
FLANNEL_VXLAN = {"cluster.network": {"plugin": "flannel", "backend": "vxlan"}}
PROXIES = {
    "ovs": {"cluster.network": {"plugin": "ovs", "encapsulation": "vxlan"}},
    "iptables": FLANNEL_VXLAN | {"cluster.serviceProxy.mode": "iptables"},
    "nftables": FLANNEL_VXLAN | {"cluster.serviceProxy.mode": "nftables"},
}
"""Labels with whole mappings at a path; those of DATAPLANES put single values there. Both are allowed."""
SIZES = (1, 100, 1000, 5000)
SPEEDS = {"ovs-vxlan": 1.6, "ovs-none": 1.4, "flannel-vxlan-iptables": 1.02, "flannel-vxlan-nftables": 1.0}
"""How many times longer a path takes with a dataplane of the comparison; 0.8 with those not named."""


def proxy_scaling_run(
    sizes: Sequence[int] = SIZES,
    repeats: int = 3,
    noise: float = 0.03,
    fail: float = 0.0,
    programming: Workload = PROGRAMMING[0],
) -> tuple[RunRecord, pd.DataFrame]:
    """A run over three service proxies and several numbers of Services, in which iptables alone grows."""
    variants: dict[str, Settings] = {
        f"dataplane={name}, services={size}": {"dataplane": name, "services": size}
        for name in PROXIES
        for size in sizes
    }
    record, samples = synthetic_run(
        variants,
        repeats=repeats,
        fail=fail,
        noise=noise,
        workloads=(("first-packet", "connect", "TCP", 48.0, 500), programming),
        paths=("raw-veth", "clusterip-other-node", "first-service", "last-service"),
        effect=_growth,
    )
    record = _named(record, {"dataplane": PROXIES, "services": list(sizes)}, "proxy-scaling")
    return dataclasses.replace(record, cells=tuple(map(_user_space, record.cells))), samples


def _growth(settings: Settings, path: str) -> float:
    """Rules of iptables are tried one after the other, and its chains written whole; nothing else grows."""
    services = int(settings["services"])
    times = {
        "last-service": 1 + services / 2500,
        "clusterip-other-node": 1 + services / 5000,
        "new-service": 1 + services / 100,
    }
    slower = 1.5 if settings["dataplane"] == "ovs" and path != "raw-veth" else 1.0
    return slower * (times.get(path, 1.0) if settings["dataplane"] == "iptables" else 1.0)


def _user_space(cell: CellRecord) -> CellRecord:
    return dataclasses.replace(cell, datapath_type="netdev" if "dataplane=ovs" in cell.variant else "")


def dataplanes_run(
    repeats: int = 3, noise: float = 0.03, workloads: Sequence[Workload] = MATRIX
) -> tuple[RunRecord, pd.DataFrame]:
    """A run of six dataplanes over the path matrix."""
    variants: dict[str, Settings] = {f"dataplane={name}": {"dataplane": name} for name in DATAPLANES}

    def effect(settings: Settings, path: str) -> float:
        return 1.0 if path == "raw-veth" else SPEEDS.get(str(settings["dataplane"]), 0.8)

    record, samples = synthetic_run(
        variants, repeats=repeats, noise=noise, workloads=tuple(workloads), effect=effect
    )
    record = _named(record, {"dataplane": DATAPLANES}, "dataplanes")
    return dataclasses.replace(record, cells=tuple(map(_user_space, record.cells))), samples


def _named(record: RunRecord, sweep: dict[str, object], name: str) -> RunRecord:
    """Return a record as the runner makes it: the whole document, defaults filled in, keys sorted."""
    network = {"plugin": "ovs", "encapsulation": "vxlan", "datapathType": "auto", "mtu": "auto"}
    cluster = {"network": network, "serviceProxy": {"mode": "ovs"}, "nodes": 4}
    spec = {"cluster": cluster, "sweep": dict(sorted(sweep.items()))}
    return dataclasses.replace(
        record,
        experiment=name,
        description="",
        spec={"kind": "Experiment", "metadata": {"name": name}, "spec": spec},
        command=("testbed", "run", f"experiments/{name}.yaml"),
    )
