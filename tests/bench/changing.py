"""Services on their way to the switches: a whole snapshot, then endpoint by endpoint. Runs in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from statistics import median, quantiles
from time import monotonic

from testbed.cluster.state import ClusterState
from testbed.drivers.openflow import ControllerClient, Delta
from testbed.emulation.cluster import EmulatedCluster
from testbed.emulation.processes import Processes
from testbed.emulation.sandbox import RUN_FOLDER
from testbed.errors import RunFailed
from testbed.intent import ClusterIntent
from testbed.intent_from_cluster import recompile_services
from testbed.runner.job import ClusterPlan
from tests.bench.bring_up import built
from tests.bench.generated import deployment, manual_services, plan, service_name

_BLOCKS = 2
"""Few and many Services take turns this often, so that both see the machine in the same state."""


def measure(nodes: int, few: int, many: int, changes: int) -> tuple[dict[str, float], str]:
    """Bring up a cluster with few Services; then change endpoints with few and with many, in turns."""
    plans = {size: _plan(nodes, size) for size in (few, many)}
    taken_ms: dict[int, list[float]] = {few: [], many: []}
    renewed_s: dict[int, list[float]] = {few: [], many: []}
    with Processes(RUN_FOLDER) as processes:
        cluster = built(plans[few], processes)
        client = _client(cluster)
        for block in range(_BLOCKS):
            for size, decided in plans.items():
                began = monotonic()
                client.hand_over(decided.intent)
                renewed_s[size].append(monotonic() - began)
                share = range(block * changes // _BLOCKS, (block + 1) * changes // _BLOCKS)
                taken_ms[size] += _change(client, decided, [number * few // changes for number in share])
        readings = {**_first(cluster), **_spread("few", taken_ms[few]), **_spread("many", taken_ms[many])}
        readings["ratio"] = median(taken_ms[many]) / median(taken_ms[few])
        readings["few to many"], readings["many to few"] = renewed_s[many][0], renewed_s[few][1]
        return readings, cluster.datapath_type


def _plan(nodes: int, services: int) -> ClusterPlan:
    return plan(nodes, [*manual_services(services, nodes), deployment("web", nodes)])


def _client(cluster: EmulatedCluster) -> ControllerClient:
    if cluster.controller is None:
        raise RunFailed("the cluster has no controller")
    return cluster.controller


def _first(cluster: EmulatedCluster) -> dict[str, float]:
    """Return how long the first snapshot took: as the testbed saw it, and in the controller alone."""
    ack = cluster.acknowledgement
    if ack is None:
        raise RunFailed("no snapshot was acknowledged")
    shown = {"snapshot": cluster.seconds["flows"], "snapshot, in the controller": ack.seconds}
    return {**shown, "node programs": cluster.seconds["node programs"], "entries": float(ack.entries)}


def _change(client: ControllerClient, decided: ClusterPlan, services: list[int]) -> list[float]:
    """Move one endpoint of each of these Services; return the milliseconds from state to last barrier."""
    taken_ms = []
    state, intent = decided.state, decided.intent
    for number in services:
        name = f"default/{service_name(number)}"
        began = monotonic()
        state = _moved(state, name)
        intent = recompile_services(intent, state, [name])
        client.update(Delta(_object(intent, name)))
        taken_ms.append(1000 * (monotonic() - began))
    return taken_ms


def _moved(state: ClusterState, service: str) -> ClusterState:
    """Return the state with the Service's first endpoint at another address."""
    found, *others = state.slices[service]
    first, *rest = found.endpoints
    elsewhere = replace(first, addresses=(ip_address(int(first.addresses[0]) ^ 1),))
    fresh = replace(found, endpoints=(elsewhere, *rest))
    return replace(state, slices={**state.slices, service: (fresh, *others)})


def _object(intent: ClusterIntent, service: str) -> Mapping[str, object]:
    key = f"Service/{service}"
    return {key: intent.shared[key]}


def _spread(name: str, values_ms: list[float]) -> dict[str, float]:
    p99 = quantiles(values_ms, n=100, method="inclusive")[98]
    return {f"{name}: median": median(values_ms), f"{name}: p99": p99}
