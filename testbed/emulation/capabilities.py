"""What this kernel can do, found out by doing it: each capability is tried with the real call.

Trials run inside a sandbox and leave nothing. A listed module may not load, one that is not listed
may be built in: names prove nothing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from testbed.cluster.state import NetworkSettings
from testbed.cluster.underlay import Underlay
from testbed.dataplanes.catalogue import NETWORK_PLUGINS, SERVICE_PROXIES
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


def _nft(rules: str, interface: str = "") -> Callable[[], bool]:
    def try_it() -> bool:
        try:
            if interface:
                run(["ip", "link", "add", interface, "type", "veth", "peer", "name", f"{interface}-p"])
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

_NAT = """
table ip try {
  map services { type ipv4_addr . inet_proto . inet_service : verdict; }
  chain balance {
    numgen random mod 2 vmap { 0 : accept, 1 : accept }
  }
  chain masquerading {
    type nat hook postrouting priority srcnat
    masquerade fully-random
  }
  chain services {
    type nat hook prerouting priority dstnat
    fib daddr type local return
    ip daddr . meta l4proto . th dport vmap @services
    meta l4proto tcp dnat to 192.0.2.1:1
  }
}
"""

_IPTABLES = """*nat
:TRY - [0:0]
-A TRY -m comment --comment "t" -m mark --mark 0x1/0x1 -m statistic --mode random --probability 0.5 -j RETURN
-A TRY -m addrtype --dst-type LOCAL -j MARK --set-xmark 0x1/0x1
-A TRY -p tcp -m tcp -j DNAT --to-destination 192.0.2.1:1
-A POSTROUTING -j MASQUERADE --random-fully
COMMIT
*filter
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -j REJECT --reject-with icmp-port-unreachable
COMMIT
"""


def _has_iptables() -> bool:
    """Whether iptables' matches and targets that kube-proxy uses work, over nftables."""
    try:
        run(["iptables-nft-restore", "--noflush"], stdin=_IPTABLES)
    except TestbedError:
        return False
    return True


CAPABILITIES = (
    Capability("veth", "every Pod", _tries(["ip", "link", "add", "try-v", "type", "veth"]), True),
    Capability(
        "bridge", "switches of the underlay", _tries(["ip", "link", "add", "try-br", "type", "bridge"]), True
    ),
    Capability("htb", "bandwidth of links", _qdisc("htb", "default", "1")),
    Capability("pfifo", "queue length of links", _qdisc("pfifo", "limit", "10")),
    Capability("netem", "delay of links", _qdisc("netem", "delay", "1ms")),
    Capability("nft-netdev-egress", "loss of links", _nft(_LOSS, "try-nft")),
    Capability("openvswitch", "datapathType system (else: netdev, in user space)", _has_openvswitch),
    Capability(
        "vxlan",
        "VXLAN by the kernel itself",
        _tries(
            ["ip", "link", "add", "try-vxlan", "type", "vxlan", "id", "1", "dstport", "8472", "nolearning"]
        ),
    ),
    Capability(
        "bridge-netfilter",
        "rules before Pods on a Linux bridge",
        _tries(["sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1"]),
    ),
    Capability("iptables", "plugins and proxies of mechanism iptables", _has_iptables),
    Capability("nftables-nat", "plugins and proxies of mechanism nftables", _nft(_NAT)),
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


CAPABILITIES_OF_MECHANISM: Mapping[str, tuple[str, ...]] = {
    "openvswitch": (),
    "iproute": (),
    "iptables": ("iptables", "bridge-netfilter"),
    "nftables": ("nftables-nat", "bridge-netfilter"),
}
"""What each mechanism asks of the kernel. Open vSwitch asks by `datapathType`, as it has its own datapath."""


def needs_of(underlay: Underlay, network: NetworkSettings) -> dict[str, str]:
    """Return the capabilities that a cluster's links and dataplane need, to what asks for them in words."""
    needs = {"openvswitch": "datapathType: system"} if network.datapath_type == "system" else {}
    needs |= _dataplane_needs(network)
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


def _dataplane_needs(network: NetworkSettings) -> dict[str, str]:
    facts = NETWORK_PLUGINS[network.plugin]
    needs = {
        name: f"network plugin {network.plugin} with {facts.carrier_key} {network.carrier}"
        for name in facts.carriers[network.carrier].capabilities
    }
    for word, name, mechanisms in (
        ("network plugin", network.plugin, facts.mechanisms),
        ("service proxy", network.service_proxy, SERVICE_PROXIES[network.service_proxy].mechanisms),
    ):
        for mechanism in mechanisms:
            needs |= {each: f"{word} {name}" for each in CAPABILITIES_OF_MECHANISM[mechanism]}
    return needs


def refuse_impossible(needs: Mapping[str, str], available: Mapping[str, bool]) -> None:
    """Check that the kernel can do what a cluster needs (`needs_of`), before anything is built.

    Raises:
        CapabilityMissing: it cannot; says what asks for it.
    """
    for capability, wanted_for in sorted(needs.items()):
        if not available[capability]:
            fix = f"leave {wanted_for} out, or run on a kernel that has it"
            raise CapabilityMissing(capability, wanted_for, fix)
