"""Bringing up a cluster: how long each stage takes and what memory it costs. Runs inside a sandbox."""

from __future__ import annotations

import os
from collections import Counter
from time import monotonic

from testbed.emulation.cluster import EmulatedCluster
from testbed.emulation.namespaces import pod_namespace
from testbed.emulation.open_vswitch import OpenVSwitch
from testbed.emulation.prober import Attempt, Verdict
from testbed.emulation.processes import Processes
from testbed.emulation.sandbox import RUN_FOLDER
from testbed.errors import RunFailed
from testbed.inet import Protocol
from testbed.runner.job import ClusterPlan
from tests.bench import memory
from tests.bench.generated import POD_PORT, deployment, plan
from tests.combinations import Combination

_RING_TIMEOUT_S = 5.0


def built(decided: ClusterPlan, processes: Processes) -> EmulatedCluster:
    """Bring a planned cluster up, as `testbed run` does."""
    cluster = EmulatedCluster(decided.state, decided.intent, decided.underlay, processes, decided.images)
    cluster.up()
    return cluster


def open_vswitch(cluster: EmulatedCluster) -> OpenVSwitch:
    """Return the mechanism Open vSwitch of a cluster.

    Raises:
        RunFailed: it has none.
    """
    found = cluster.mechanisms.get("openvswitch")
    if not isinstance(found, OpenVSwitch):
        raise RunFailed("the cluster has no Open vSwitch")
    return found


def measure(
    nodes: int, pods: int, plugin: str = "ovs", carrier: str = "vxlan", proxy: str = "ovs"
) -> tuple[dict[str, float], str]:
    """Bring a cluster up, then let every Pod connect to the next one, the last to the first.

    The ring makes every Pod a client and a server once: it shows that all are reachable, and is part of the
    time. Memory is what MemAvailable fell by from before the plan to after the ring.

    Args:
        nodes: how many there are.
        pods: how many there are on all nodes together.
        plugin: the network plugin, as `network.plugin` names it.
        carrier: its encapsulation or backend.
        proxy: the service proxy, as `serviceProxy.mode` names it.
    """
    before_mib = memory.available_mib()
    began = monotonic()
    decided = plan(nodes, [deployment("web", pods)], Combination(plugin, carrier, proxy))
    planned = monotonic()
    with Processes(RUN_FOLDER) as processes:
        cluster = built(decided, processes)
        up = monotonic()
        verdicts = _ring(cluster)
        ended = monotonic()
        readings = {
            "plan": planned - began,
            **cluster.seconds,
            "ring of all Pods": ended - up,
            "total": ended - began,
            "Pods reached": float(verdicts[Verdict.ALLOWED]),
            "each Pod": 1000 * cluster.seconds["Pods"] / pods,
            **_footprint(before_mib),
        }
        return readings, cluster.datapath_type


def _ring(cluster: EmulatedCluster) -> Counter[Verdict]:
    pods = cluster.running_pods()
    attempts = [
        Attempt(
            pod_namespace(source.namespace, source.name),
            source.qualified_name,
            target.qualified_name,
            target.addresses[0],
            Protocol.TCP,
            POD_PORT,
        )
        for source, target in zip(pods, (*pods[1:], pods[0]), strict=True)
    ]
    return Counter(outcome.verdict for outcome in cluster.try_all(attempts, timeout_s=_RING_TIMEOUT_S))


def _footprint(before_mib: float) -> dict[str, float]:
    """Return memory and processor time so far; process 1 is the testbed itself."""
    pss = {f"PSS {program}, MiB": mib for program, mib in memory.pss_mib().items()}
    cpu = {
        f"CPU {program}, s": seconds for program, seconds in memory.cpu_s(os.sysconf("SC_CLK_TCK")).items()
    }
    return {"memory": before_mib - memory.available_mib(), "PSS of all": sum(pss.values()), **pss, **cpu}
