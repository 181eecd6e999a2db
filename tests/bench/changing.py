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
from tests.bench.bring_up import built, open_vswitch
from tests.bench.generated import deployment, manual_services, plan, service_name

_ELSEWHERE = 100
"""How many addresses further on the moved endpoint is: no generated endpoint is there."""
_IDLE_FLOWS_MAX = 8
"""A switch that is left alone still sees a few frames of its own."""
_IDLE_TIMEOUT_S = 60.0


def measure(nodes: int, few: int, many: int, changes: int) -> tuple[dict[str, float], str]:
    """Bring up a cluster with few Services; then change endpoints with few and with many.

    A change costs more while switches have flows in their caches, each of which they then check again. So
    the first changes come right after the traffic of the bring-up, and the others when its flows have gone:
    half of those with few before those with many and half after, so that a machine that gets faster or
    slower meanwhile favours neither. Every change is to another Service.
    """
    plans = {size: _plan(nodes, size) for size in (few, many)}
    held = plans[few].intent.shared
    more = {key: thing for key, thing in plans[many].intent.shared.items() if key not in held}
    targets = [number * few // changes for number in range(changes)]
    half = changes // 2
    with Processes(RUN_FOLDER) as processes:
        cluster = built(plans[few], processes)
        client = _client(cluster)
        busy_ms = _change(client, plans[few], [number + 2 for number in targets])
        _await_idle(cluster)
        few_ms = _change(client, plans[few], targets[:half])
        grown_s = _seconds(client, Delta(more))
        many_ms = _change(client, plans[many], [number + 1 for number in targets])
        shrunk_s = _seconds(client, Delta(removed=more))
        few_ms += _change(client, plans[few], targets[half:])
        readings = {**_first(cluster), **_spread("few", few_ms), **_spread("many", many_ms)}
        readings["few, after traffic: median"] = median(busy_ms)
        readings["ratio"] = median(many_ms) / median(few_ms)
        readings["few to many"], readings["many to few"] = grown_s, shrunk_s
        return readings, cluster.datapath_type


def _await_idle(cluster: EmulatedCluster) -> None:
    """Wait until the switches' caches hold no flow of a Pod's connection any more (10 s after the last)."""

    switches = open_vswitch(cluster).switches

    def seen() -> bool | str:
        flows = {
            node: switch.appctl("dpctl/dump-flows").count("recirc_id") for node, switch in switches.items()
        }
        return max(flows.values()) <= _IDLE_FLOWS_MAX or f"cached flows by node: {flows}"

    cluster.processes.wait_until("the switches' caches to empty", seen, _IDLE_TIMEOUT_S)


def _seconds(client: ControllerClient, delta: Delta) -> float:
    began = monotonic()
    client.update(delta)
    return monotonic() - began


def _plan(nodes: int, services: int) -> ClusterPlan:
    return plan(nodes, [*manual_services(services, nodes), deployment("web", nodes)])


def _client(cluster: EmulatedCluster) -> ControllerClient:
    controller = open_vswitch(cluster).controller
    if controller is None:
        raise RunFailed("the cluster has no controller")
    return controller


def _first(cluster: EmulatedCluster) -> dict[str, float]:
    """Return how long the first snapshot took: as the testbed saw it, and in the controller alone."""
    ack = open_vswitch(cluster).acknowledgement
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
