"""The cases that set one dataplane beside another, or beside what could be done without the testbed."""

from __future__ import annotations

from dataclasses import replace

from tests.bench.case import Case, Figure, Goal, Measured
from tests.bench.sandboxed import measure

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
"""What a bring-up goes through; only Open vSwitch has the two that are its own."""
_OPEN_VSWITCH_ALONE = ("Open vSwitch", "flows")
NODES, PODS = 10, 200
DATAPLANES = {
    "flannel": {"plugin": "flannel", "carrier": "vxlan", "proxy": "iptables"},
    "ovs": {"plugin": "ovs", "carrier": "vxlan", "proxy": "ovs"},
}
ROUNDS = 60
MESSAGES = 400
WITHOUT_HOOKS = ", bridges without hooks"
SERVICES = 5000
FEWER_SERVICES = [1, 1000]
PAIRS = 2


def dataplane_cases() -> tuple[Case, ...]:
    """Return these cases in the order in which they run."""
    return (_flannel(), _host_gw(), _nftables_load())


def _flannel() -> Case:
    figures = (
        Figure("flannel / ovs", "x", Goal(1.2)),
        *(Figure(f"{name}: total", "s") for name in DATAPLANES),
        *(Figure(f"{name}: Pods reached", f"of {PODS}", Goal(PODS, is_least=True)) for name in DATAPLANES),
        *(Figure(f"{name}: {stage}", "s") for name in DATAPLANES for stage in _stages(name)),
    )
    title = f"{PODS} Pods on {NODES} nodes: flannel with vxlan and iptables, against Open vSwitch with vxlan"
    return Case("flannel", title, figures, _measure_flannel)


def _stages(name: str) -> tuple[str, ...]:
    return tuple(stage for stage in STAGES if name == "ovs" or stage not in _OPEN_VSWITCH_ALONE)


def _measure_flannel(repeat: int) -> Measured:
    """Bring up both; who comes first changes from repeat to repeat."""
    order = sorted(DATAPLANES, reverse=repeat % 2 == 1)
    found = {name: measure("bring-up", nodes=NODES, pods=PODS, **DATAPLANES[name]) for name in order}
    readings = {
        f"{name}: {figure}": value
        for name, each in found.items()
        for figure, value in each.readings.items()
        if figure in {"total", "Pods reached", *STAGES}
    }
    readings["flannel / ovs"] = readings["flannel: total"] / readings["ovs: total"]
    return replace(found["ovs"], readings=readings)


def _host_gw() -> Case:
    ratios = ("flannel / by hand", "by hand with rules / by hand", "flannel / by hand with rules")
    paths = ("flannel", "by hand", "by hand with rules")
    figures = (
        Figure(ratios[0], "x", Goal(1.15)),
        *(Figure(ratio, "x") for ratio in ratios[1:]),
        *(Figure(f"{path}, p50", "us") for path in paths),
        *(Figure(f"{ratio}{WITHOUT_HOOKS}", "x") for ratio in ratios),
        *(Figure(f"{path}, p50{WITHOUT_HOOKS}", "us") for path in paths),
    )
    title = "round trip between Pods of two nodes: flannel with host-gw, against bridges and routes by hand"
    sizes = {"rounds": ROUNDS, "messages": MESSAGES}
    return Case("host-gw", title, figures, lambda _repeat: measure("host-gw", **sizes))


def _nftables_load() -> Case:
    figures = (
        Figure("nftables: driver / bare", "x", Goal(1.5)),
        *(Figure(f"nftables: {what}", "s") for what in ("driver", "bare")),
        Figure("nftables: text", "MB"),
        Figure("iptables: driver / bare", "x"),
        *(Figure(f"iptables: {what}", "s") for what in ("driver", "bare")),
        Figure("iptables: text", "MB"),
        *(
            Figure(f"{proxy}: one more at {number}", "ms")
            for proxy in ("nftables", "iptables")
            for number in (*FEWER_SERVICES, SERVICES)
        ),
    )
    title = f"{SERVICES} Services of 2 endpoints into one node: by the driver, against the bare tool"
    return Case("nftables-load", title, figures, lambda _repeat: _measure_load())


def _measure_load() -> Measured:
    return measure("loading", services=SERVICES, fewer=FEWER_SERVICES, pairs=PAIRS)
