"""The cases: what each measures, and the goals of the project for it."""

from __future__ import annotations

from typing import Protocol

from tests.bench.case import Case, Figure, Goal, Readings
from tests.bench.sandboxed import Measured, measure

NODES, PODS = 20, 1000
MIB_PER_NODE, MIB_PER_POD = 25.0, 0.6
FEW_SERVICES, MANY_SERVICES = 1000, 5000
STAGES = (
    "plan",
    "underlay",
    "Open vSwitch",
    "Pods",
    "node programs",
    "flows",
    "workloads",
    "readiness",
    "ring of all Pods",
)


class InSandbox(Protocol):
    """Carries out a measurement of a case in a sandbox."""

    def __call__(self, case: str, name: str, **numbers: int) -> Readings:
        """Return its readings."""


def all_cases(datapaths: dict[str, str]) -> tuple[Case, ...]:
    """Return all cases in the order in which they run.

    Args:
        datapaths: filled, while cases run, with the datapath type that each met.
    """

    def in_sandbox(case: str, name: str, **numbers: int) -> Readings:
        found: Measured = measure(name, **numbers)
        if found.datapath_type:
            datapaths[case] = found.datapath_type
        return found.readings

    return (
        Case(
            "bring-up",
            f"{PODS} Pods on {NODES} nodes, each with its own Open vSwitch",
            _bring_up_figures(),
            lambda _repeat: _with_slopes(
                in_sandbox("bring-up", "bring-up", nodes=NODES, pods=PODS),
                in_sandbox("bring-up", "bring-up", nodes=NODES, pods=NODES),
            ),
        ),
        Case(
            "pods",
            f"{PODS} Pods alone, against Mininet hosts on {NODES} switches",
            (
                Figure("each Pod", "ms", Goal(6)),
                Figure("each Mininet host", "ms"),
                Figure("Mininet start, each host", "ms"),
                Figure("times faster", "x", Goal(3, is_least=True)),
            ),
            lambda repeat: _pods_against_mininet(repeat, in_sandbox),
        ),
        Case(
            "services",
            f"{FEW_SERVICES} Services with 10 endpoints on 10 nodes; {MANY_SERVICES} beside them",
            _services_figures(),
            lambda _repeat: in_sandbox(
                "services", "services", nodes=10, few=FEW_SERVICES, many=MANY_SERVICES, changes=50
            ),
        ),
        Case(
            "probe",
            "100 x 100 Pods over 4 nodes, TCP",
            (
                Figure("all pairs", "s", Goal(10)),
                Figure("allowed", "pairs"),
                Figure("refused", "pairs"),
                Figure("blocked", "pairs"),
                Figure("answered by the Pod asked", "pairs"),
                Figure("with bring-up", "s"),
            ),
            lambda _repeat: in_sandbox("probe", "probe", nodes=4, pods=100),
        ),
        Case(
            "connect",
            "connect time to the first, middle and last of 1, 100 and 1000 Services",
            tuple(
                Figure(f"{place} of {services}, p50", "us")
                for services in (1, 100, 1000)
                for place in ("first", "middle", "last")
            ),
            lambda _repeat: {
                f"{place} of {services}, p50": value
                for services in (1, 100, 1000)
                for place, value in in_sandbox(
                    "connect", "connect", services=services, connections=400
                ).items()
            },
        ),
        Case(
            "selection",
            "connect time through a group of 10 backends, by selection method",
            (
                Figure("dp_hash", "us"),
                Figure("hash", "us"),
                Figure("hash / dp_hash", "x"),
            ),
            lambda _repeat: in_sandbox("selection", "selection", connections=400),
        ),
    )


def _bring_up_figures() -> tuple[Figure, ...]:
    return (
        Figure("total", "s", Goal(25)),
        *(Figure(stage, "s") for stage in STAGES),
        Figure("Pods reached", f"of {PODS}", Goal(PODS, is_least=True)),
        Figure("each Pod", "ms", Goal(6)),
        Figure("memory", "MiB", Goal(NODES * MIB_PER_NODE + PODS * MIB_PER_POD)),
        Figure("memory per node", "MiB"),
        Figure("memory per Pod", "MiB"),
        Figure("PSS of all", "MiB"),
        Figure("PSS per node", "MiB"),
        Figure("PSS per Pod", "MiB"),
    )


def _services_figures() -> tuple[Figure, ...]:
    return (
        Figure("snapshot", "s", Goal(1)),
        Figure("snapshot, in the controller", "s"),
        Figure("entries", ""),
        Figure("node programs", "s"),
        Figure("few: median", "ms", Goal(20)),
        Figure("few: p99", "ms", Goal(20)),
        Figure("many: median", "ms"),
        Figure("many: p99", "ms"),
        Figure("ratio", "x", Goal(1.5)),
        Figure("few to many", "s"),
        Figure("many to few", "s"),
    )


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


def _pods_against_mininet(repeat: int, in_sandbox: InSandbox) -> Readings:
    """Measure both; who comes first changes from repeat to repeat."""
    sizes = {
        "pods-alone": {"nodes": NODES, "pods": PODS},
        "mininet-hosts": {"switches": NODES, "hosts": PODS // NODES},
    }
    order = sorted(sizes, reverse=repeat % 2 == 0)
    found = {name: in_sandbox("pods", name, **sizes[name]) for name in order}
    pods, hosts = found["pods-alone"], found["mininet-hosts"]
    return {
        "each Pod": pods["each"],
        "each Mininet host": hosts["each"],
        "Mininet start, each host": hosts["start each"],
        "times faster": hosts["each"] / pods["each"],
    }
