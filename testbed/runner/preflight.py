"""What is checked before anything starts: permission, programs, kernel capabilities."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from typing import Any

from testbed.dataplanes.registry import network_plugin
from testbed.emulation.capabilities import CAPABILITIES, needs_of, refuse_impossible
from testbed.emulation.sandbox import refuse_without_permission, run_in_sandbox
from testbed.errors import ProgramMissing, RunFailed
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
OPENVSWITCH_PROGRAMS = {
    "ovs-vsctl": "openvswitch-switch",
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-server": "openvswitch-switch",
    "ovsdb-tool": "openvswitch-switch",
}
SHAPING_PROGRAMS = {"nft": "nftables", "tc": "iproute2"}


def required_programs(plan: ClusterPlan) -> dict[str, str]:
    """Return the programs a cluster needs, to the Debian packages that bring them."""
    programs = dict(BASE_PROGRAMS)
    if "openvswitch" in network_plugin(plan.state.network.plugin).mechanisms:
        programs |= OPENVSWITCH_PROGRAMS
    if not all(link.shape.is_plain for link in plan.underlay.links):
        programs |= SHAPING_PROGRAMS
    return programs


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
    needs = [(plan.underlay, plan.state.network.datapath_type) for plan in plans]
    if any(needs_of(*need) for need in needs):
        available = machine_capabilities()
        for underlay, datapath_type in needs:
            refuse_impossible(underlay, datapath_type, available)


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
