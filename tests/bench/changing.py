"""Services on their way to the switches: a whole snapshot, then endpoint by endpoint. Runs in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import median, quantiles
from time import monotonic

from testbed.cluster.state import ClusterState
from testbed.drivers.openflow import ControllerClient, Delta
from testbed.emulation.cluster import EmulatedCluster
from testbed.emulation.processes import Processes
from testbed.emulation.sandbox import RUN_FOLDER
from testbed.errors import RunFailed
from testbed.intent import ClusterIntent, IntentObject
from testbed.intent_from_cluster import recompile_services
from testbed.runner.job import ClusterPlan
from tests.bench.bring_up import built
from tests.bench.generated import deployment, manual_services, plan, service_name

_ELSEWHERE = 100
"""How many addresses further on the moved endpoint is: no generated endpoint is there."""
_BLOCKS = 2
"""Few and many Services take turns this often, so that both see the machine in the same state."""


def measure(nodes: int, few: int, many: int, changes: int) -> tuple[dict[str, float], str]:
    """Bring up a cluster with few Services; then change endpoints with few and with many, in turns."""
    plans = {size: _plan(nodes, size) for size in (few, many)}
    more = {
        key: thing for key, thing in plans[many].intent.shared.items() if key not in plans[few].intent.shared
    }
    taken_ms: dict[int, list[float]] = {few: [], many: []}
    grown_s, shrunk_s = [], []
    with Processes(RUN_FOLDER) as processes:
        cluster = built(plans[few], processes)
        client = _client(cluster)
        for block in range(_BLOCKS):
            share = range(block * changes // _BLOCKS, (block + 1) * changes // _BLOCKS)
            services = [number * few // changes for number in share]
            taken_ms[few] += _change(client, plans[few], services)
            grown_s.append(_seconds(client, Delta(more)))
            taken_ms[many] += _change(client, plans[many], [number + 1 for number in services])
            shrunk_s.append(_seconds(client, Delta(removed=more)))
        readings = {**_first(cluster), **_spread("few", taken_ms[few]), **_spread("many", taken_ms[many])}
        readings["ratio"] = median(taken_ms[many]) / median(taken_ms[few])
        readings["few to many"], readings["many to few"] = median(grown_s), median(shrunk_s)
        return readings, cluster.datapath_type


def _seconds(client: ControllerClient, delta: Delta) -> float:
    began = monotonic()
    client.update(delta)
    return monotonic() - began


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
        ack = client.update(Delta(_object(intent, name)))
        taken_ms.append(1000 * (monotonic() - began))
        if ack.barriers != len(intent.nodes):
            raise RunFailed(f"a change reached {ack.barriers} of {len(intent.nodes)} nodes")
    return taken_ms


def _moved(state: ClusterState, service: str) -> ClusterState:
    """Return the state with the Service's first endpoint at another address."""
    found, *others = state.slices[service]
    first, *rest = found.endpoints
    elsewhere = replace(first, addresses=(first.addresses[0] + _ELSEWHERE,))
    fresh = replace(found, endpoints=(elsewhere, *rest))
    return replace(state, slices={**state.slices, service: (fresh, *others)})


def _object(intent: ClusterIntent, service: str) -> Mapping[str, IntentObject]:
    key = f"Service/{service}"
    return {key: intent.shared[key]}


def _spread(name: str, values_ms: list[float]) -> dict[str, float]:
    p99 = quantiles(values_ms, n=100, method="inclusive")[98]
    return {f"{name}: median": median(values_ms), f"{name}: p99": p99}
