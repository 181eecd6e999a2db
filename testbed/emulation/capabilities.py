"""What this kernel can do, found out by doing it: each capability is tried with the real call.

Trials run inside a sandbox and leave nothing. A listed module may not load, one that is not listed
may be built in: names prove nothing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from testbed.cluster.underlay import Underlay
from testbed.drivers.shell import run
from testbed.errors import CapabilityMissing, TestbedError

_OPENVSWITCH_FAMILY = "ovs_datapath"


@dataclass(frozen=True, slots=True)
class Capability:
    """Something a kernel may or may not do. `needed_for` says in words what is refused without it.

    `is_required`: without it nothing runs at all.
    """

    name: str
    needed_for: str
    try_it: Callable[[], bool]
    is_required: bool = False


def _tries(*commands: list[str]) -> Callable[[], bool]:
    def try_them() -> bool:
        try:
            for command in commands:
                run(command)
        except TestbedError:
            return False
        return True

    return try_them


def _qdisc(*arguments: str) -> Callable[[], bool]:
    name = f"try-{arguments[0]}"[:15]
    return _tries(
        ["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-p"[:15]],
        ["tc", "qdisc", "add", "dev", name, "root", *arguments],
    )


def _has_openvswitch() -> bool:
    """Whether the kernel has Open vSwitch's datapath: its generic netlink family answers."""
    done = subprocess.run(
        ["genl", "ctrl", "get", "name", _OPENVSWITCH_FAMILY], capture_output=True, check=False
    )
    return done.returncode == 0


def _nft(rules: str) -> Callable[[], bool]:
    def try_it() -> bool:
        try:
            run(["ip", "link", "add", "try-nft", "type", "veth", "peer", "name", "try-nft-p"])
            run(["nft", "-f", "-"], stdin=rules)
        except TestbedError:
            return False
        return True

    return try_it


_LOSS = """
table netdev try {
  chain out { type filter hook egress device "try-nft" priority 0; numgen random mod 2 < 1 drop; }
}
"""

CAPABILITIES = (
    Capability("veth", "every Pod", _tries(["ip", "link", "add", "try-v", "type", "veth"]), True),
    Capability(
        "bridge", "switches of the underlay", _tries(["ip", "link", "add", "try-br", "type", "bridge"]), True
    ),
    Capability("htb", "bandwidth of links", _qdisc("htb", "default", "1")),
    Capability("pfifo", "queue length of links", _qdisc("pfifo", "limit", "10")),
    Capability("netem", "delay of links", _qdisc("netem", "delay", "1ms")),
    Capability("nft-netdev-egress", "loss of links", _nft(_LOSS)),
    Capability("openvswitch", "datapathType system (else: netdev, in user space)", _has_openvswitch),
    Capability("tun", "datapathType netdev", _tries(["ip", "tuntap", "add", "try-tun", "mode", "tap"])),
)


def probe_capabilities() -> dict[str, bool]:
    """Try every capability in the calling namespace, which should be a sandbox's."""
    return {capability.name: capability.try_it() for capability in CAPABILITIES}


def resolve_datapath_type(wanted: str) -> str:
    """Return the datapath type to use: what is asked for, or, for "auto", system where the kernel has it.

    Raises:
        CapabilityMissing: system is asked for and the kernel does not have it.
    """
    if wanted == "netdev":
        return wanted
    if _has_openvswitch():
        return "system"
    if wanted == "system":
        raise CapabilityMissing(
            "openvswitch", "datapathType: system", "choose netdev, or run on a kernel that has it"
        )
    return "netdev"


def needs_of(underlay: Underlay, datapath_type: str) -> dict[str, str]:
    """Return the capabilities that a cluster's links and datapath need, to what asks for them in words."""
    needs = {"openvswitch": "datapathType: system"} if datapath_type == "system" else {}
    for link in underlay.links:
        shape = link.shape
        wants = {
            "netem": (shape.delay_ns, "delay"),
            "htb": (shape.bandwidth_bps, "bandwidth"),
            "pfifo": (shape.queue_packets, "queue"),
            "nft-netdev-egress": (shape.loss, "loss"),
        }
        needs |= {name: f"{word} of {link.kind}Link" for name, (value, word) in wants.items() if value}
    return needs


def refuse_impossible(underlay: Underlay, datapath_type: str, available: dict[str, bool]) -> None:
    """Check that the kernel can do what a cluster asks for, before anything is built.

    Raises:
        CapabilityMissing: it cannot; says what asks for it.
    """
    for capability, wanted_for in sorted(needs_of(underlay, datapath_type).items()):
        if not available[capability]:
            fix = f"leave {wanted_for} out, or run on a kernel that has it"
            raise CapabilityMissing(capability, wanted_for, fix)
