"""Making Pods alone, and bare Mininet hosts beside them. Runs inside a sandbox."""

from __future__ import annotations

from time import monotonic
from typing import Any

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.topo import Topo

from testbed.dataplanes.network import ovs
from testbed.emulation import namespaces
from testbed.emulation.pods import create_pods
from testbed.emulation.underlay import BridgeSwitch
from testbed.intent import PodAttachment
from tests.bench.generated import deployment, plan


def measure_pods(nodes: int, pods: int) -> tuple[dict[str, float], str]:
    """Create the Pods of a cluster in bare node namespaces: no switch, no daemon."""
    intent = plan(nodes, [deployment("web", pods)]).intent
    for name in intent.nodes:
        namespaces.create(name, has_ipv6=False)
    began = monotonic()
    for name, node in intent.nodes.items():
        mine = [thing for thing in intent.local[name].values() if isinstance(thing, PodAttachment)]
        create_pods(node, mine, ovs.pod_interface, needs_checksums=True)
    return {"each": 1000 * (monotonic() - began) / pods}, ""


class Stars(Topo):  # type: ignore[misc] # Mininet has no types
    """Switches that are not joined, with the same number of hosts on each."""

    def build(self, switches: int, hosts: int) -> None:
        """Add switches, hosts and links, named so that interface names fit."""
        for number in range(switches):
            switch = self.addSwitch(f"s{number}", cls=BridgeSwitch)
            for place in range(hosts):
                self.addLink(self.addHost(f"h{number}x{place}"), switch)


def measure_mininet(switches: int, hosts: int) -> tuple[dict[str, float], str]:
    """Build Mininet hosts on Linux bridges: addHost, addLink, build; then start, which makes the bridges."""
    setLogLevel("error")
    Mininet.inited = True  # its one-time set-up would change sysctls of the whole machine
    began = monotonic()
    net: Any = Mininet(topo=Stars(switches=switches, hosts=hosts), controller=None, build=False)
    net.build()
    built = monotonic()
    net.start()
    count = switches * hosts
    return {"each": 1000 * (built - began) / count, "start each": 1000 * (monotonic() - built) / count}, ""
