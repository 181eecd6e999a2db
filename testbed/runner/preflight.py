"""What is checked before anything starts: permission, programs, kernel capabilities."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from testbed.dataplanes.catalogue import NETWORK_PLUGINS, mechanisms_of
from testbed.emulation.capabilities import CAPABILITIES, needs_of, refuse_impossible
from testbed.emulation.sandbox import refuse_without_permission, refuse_without_tun, run_in_sandbox
from testbed.errors import EnvironmentProblem, ProgramMissing, RunFailed
from testbed.runner.job import CapabilityJob, ClusterPlan, to_wire

INSIDE = "testbed.runner.inside"
BASE_PROGRAMS = {
    "ip": "iproute2",
    "mnexec": "mininet",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "sysctl": "procps",
    "taskset": "util-linux",
    "unshare": "util-linux",
}
PROGRAMS_OF_MECHANISM: Mapping[str, Mapping[str, str]] = {
    "openvswitch": {
        "ovs-vsctl": "openvswitch-switch",
        "ovs-vswitchd": "openvswitch-switch",
        "ovsdb-server": "openvswitch-switch",
        "ovsdb-tool": "openvswitch-switch",
    },
    "iproute": {"bridge": "iproute2"},
    "iptables": {"iptables-nft-restore": "iptables", "iptables-nft-save": "iptables"},
    "nftables": {"nft": "nftables"},
}
"""Programs that a mechanism's driver runs, to the Debian packages that bring them."""
NEIGHBOUR_LIMIT = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
SHAPING_PROGRAMS = {"nft": "nftables", "tc": "iproute2"}


def mechanisms(plan: ClusterPlan) -> tuple[str, ...]:
    """Return the mechanisms that a cluster's dataplane is made of."""
    return mechanisms_of(plan.state.network.plugin, plan.state.network.service_proxy)


def required_programs(plan: ClusterPlan) -> dict[str, str]:
    """Return the programs a cluster needs, to the Debian packages that bring them."""
    programs = dict(BASE_PROGRAMS)
    for mechanism in mechanisms(plan):
        programs |= PROGRAMS_OF_MECHANISM[mechanism]
    if not all(link.shape.is_plain for link in plan.underlay.links):
        programs |= SHAPING_PROGRAMS
    return programs


def refuse_too_many_neighbours(plan: ClusterPlan, limit_file: Path = NEIGHBOUR_LIMIT) -> None:
    """Check that the kernel may learn as many neighbours as a cluster's Pods and nodes need.

    It counts those of all network namespaces together and refuses more without a word: a Pod needs one
    entry, for its gateway, and its node one for it. Other traffic between Pods of a node needs more.

    Raises:
        EnvironmentProblem: the limit is too low; only root can raise it, outside any namespace.
    """
    pods = sum(len(plan.state.pods_on(node)) for node in plan.state.nodes)
    needed = 2 * pods + len(plan.state.nodes) ** 2
    if not NETWORK_PLUGINS[plan.state.network.plugin].learns_neighbours or not limit_file.exists():
        return
    limit = int(limit_file.read_text())
    if needed > limit:
        raise EnvironmentProblem(
            f"{pods} Pods with network plugin {plan.state.network.plugin} need {needed} neighbours, and the "
            f"kernel learns at most {limit} on the whole machine",
            fix=f"as root: sysctl -w net.ipv4.neigh.default.gc_thresh3={2 * needed}, or use fewer Pods",
        )


def refuse_missing_programs(programs: dict[str, str]) -> None:
    """Check that programs are installed.

    Raises:
        ProgramMissing: the first that is not.
    """
    for program, package in sorted(programs.items()):
        if find_program(program) is None:
            raise ProgramMissing(program, package)


def find_program(program: str) -> str | None:
    """Return where a program is, looking into the system folders too that an ordinary user's PATH lacks."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def check_machine(plans: Iterable[ClusterPlan], programs: dict[str, str]) -> None:
    """Check that this machine can build these clusters.

    Raises:
        ProgramMissing, CapabilityMissing, EnvironmentProblem: it cannot; says why, and what to do.
    """
    plans = tuple(plans)
    for plan in plans:
        programs = programs | required_programs(plan)
    refuse_missing_programs(programs)
    refuse_without_permission()
    for plan in plans:
        refuse_too_many_neighbours(plan)
    if any("openvswitch" in mechanisms(plan) for plan in plans):
        refuse_without_tun()
    needs = [needs_of(plan.underlay, plan.state.network) for plan in plans]
    if any(needs):
        available = machine_capabilities()
        for need in needs:
            refuse_impossible(need, available)


def machine_capabilities() -> dict[str, bool]:
    """Try every capability in a sandbox.

    Raises:
        EnvironmentProblem: no sandbox can be made.
    """
    found: dict[str, bool] = {}

    def take(event: dict[str, Any]) -> None:  # Any: a JSON object
        if event["event"] == "capabilities":
            found.update(event["available"])

    run_in_sandbox(INSIDE, to_wire(CapabilityJob()), take)
    if found.keys() != {capability.name for capability in CAPABILITIES}:
        raise RunFailed("the sandbox did not report what the kernel can do")
    return found
