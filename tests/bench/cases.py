"""The cases: what each measures, and the goals of the project for it."""

from __future__ import annotations

from dataclasses import replace

from tests.bench.case import Case, Figure, Goal, Measured, Readings
from tests.bench.dataplane_cases import STAGES, dataplane_cases
from tests.bench.sandboxed import measure

NODES, PODS = 20, 1000
MIB_PER_NODE, MIB_PER_POD = 25.0, 0.6
FEW_SERVICES, MANY_SERVICES = 1000, 5000
CHANGES = 50
PROBED_PODS = 100
CONNECTIONS = 400
PLACES = ("first", "middle", "last")
NUMBERS_OF_SERVICES = (1, 100, 1000)


def all_cases() -> tuple[Case, ...]:
    """Return all cases in the order in which they run."""
    return (
        _bring_up(),
        _pods(),
        _services(),
        _probe(),
        _connect(),
        _selection(),
        *dataplane_cases(),
    )


def _bring_up() -> Case:
    figures = (
        Figure("total", "s", Goal(25)),
        *(Figure(stage, "s") for stage in STAGES),
        Figure("Pods reached", f"of {PODS}", Goal(PODS, is_least=True)),
        Figure("each Pod", "ms", Goal(6)),
        Figure("memory", "MiB", Goal(NODES * MIB_PER_NODE + PODS * MIB_PER_POD)),
        *(Figure(f"{what} per {whom}", "MiB") for what in ("memory", "PSS") for whom in ("node", "Pod")),
        Figure("PSS of all", "MiB"),
        Figure(f"total, {NODES} Pods", "s"),
    )
    title = f"{PODS} Pods on {NODES} nodes, each with its own Open vSwitch"
    return Case("bring-up", title, figures, lambda _repeat: _measure_bring_up())


def _measure_bring_up() -> Measured:
    large = measure("bring-up", nodes=NODES, pods=PODS)
    small = measure("bring-up", nodes=NODES, pods=NODES)
    return replace(large, readings=_with_slopes(large.readings, small.readings))


def _with_slopes(large: Readings, small: Readings) -> Readings:
    """Return the large cluster's readings with memory split between nodes and Pods.

    The small cluster has one Pod a node. What the other Pods add, each, is a Pod's share; what then is left
    of the small one, a node's. The controller and the testbed itself are in the node's share.
    """
    more = PODS - NODES
    shares: dict[str, float] = {}
    for whole, name in (("memory", "memory"), ("PSS of all", "PSS")):
        per_pod = (large[whole] - small[whole]) / more
        shares[f"{name} per Pod"] = per_pod
        shares[f"{name} per node"] = small[whole] / NODES - per_pod
    return {**large, **shares, f"total, {NODES} Pods": small["total"]}


def _pods() -> Case:
    figures = (
        Figure("each Pod", "ms", Goal(6)),
        Figure("each Mininet host", "ms"),
        Figure("Mininet start, each host", "ms"),
        Figure("times faster", "x", Goal(3, is_least=True)),
    )
    return Case(
        "pods", f"{PODS} Pods alone, against Mininet hosts on {NODES} switches", figures, _measure_pods
    )


def _measure_pods(repeat: int) -> Measured:
    """Measure both; who comes first changes from repeat to repeat."""
    sizes = {
        "pods-alone": {"nodes": NODES, "pods": PODS},
        "mininet-hosts": {"switches": NODES, "hosts": PODS // NODES},
    }
    found = {name: measure(name, **sizes[name]) for name in sorted(sizes, reverse=repeat % 2 == 0)}
    pods, hosts = found["pods-alone"].readings, found["mininet-hosts"].readings
    readings = {
        "each Pod": pods["each"],
        "each Mininet host": hosts["each"],
        "Mininet start, each host": hosts["start each"],
        "times faster": hosts["each"] / pods["each"],
    }
    return Measured(readings, "")


def _services() -> Case:
    figures = (
        Figure("snapshot", "s", Goal(1)),
        Figure("snapshot, in the controller", "s"),
        Figure("entries", ""),
        Figure("node programs", "s"),
        Figure("few: median", "ms", Goal(20)),
        Figure("few: p99", "ms", Goal(20)),
        Figure("few, after traffic: median", "ms", Goal(20)),
        Figure("many: median", "ms"),
        Figure("many: p99", "ms"),
        Figure("ratio", "x", Goal(1.5)),
        Figure("few to many", "s"),
        Figure("many to few", "s"),
    )
    title = f"{FEW_SERVICES} (few) and {MANY_SERVICES} (many) Services with 10 endpoints on 10 nodes"
    sizes = {"nodes": 10, "few": FEW_SERVICES, "many": MANY_SERVICES, "changes": CHANGES}
    return Case("services", title, figures, lambda _repeat: measure("services", **sizes))


def _probe() -> Case:
    all_pairs = Goal(PROBED_PODS**2, is_least=True)
    figures = (
        Figure("all pairs", "s", Goal(10)),
        Figure("allowed", "pairs", all_pairs),
        Figure("answered by the Pod asked", "pairs", all_pairs),
        Figure("refused", "pairs"),
        Figure("blocked", "pairs"),
        Figure("with bring-up", "s"),
    )
    title = f"{PROBED_PODS} x {PROBED_PODS} Pods over 4 nodes, TCP"
    return Case("probe", title, figures, lambda _repeat: measure("probe", nodes=4, pods=PROBED_PODS))


def _connect() -> Case:
    figures = tuple(
        Figure(f"{place} of {count}, p50", "us") for count in NUMBERS_OF_SERVICES for place in PLACES
    )
    title = "connect time to the first, middle and last of 1, 100 and 1000 Services"
    return Case("connect", title, figures, lambda _repeat: _measure_connect())


def _measure_connect() -> Measured:
    found = {
        count: measure("connect", services=count, connections=CONNECTIONS) for count in NUMBERS_OF_SERVICES
    }
    readings = {
        f"{place} of {count}, p50": each.readings[place] for count, each in found.items() for place in PLACES
    }
    return Measured(readings, found[NUMBERS_OF_SERVICES[0]].datapath_type)


def _selection() -> Case:
    figures = (Figure("dp_hash", "us"), Figure("hash", "us"), Figure("hash / dp_hash", "x"))
    title = "connect time through a group of 10 backends, by selection method"
    return Case("selection", title, figures, lambda _repeat: measure("selection", connections=CONNECTIONS))
