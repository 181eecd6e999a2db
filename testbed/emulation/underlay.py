"""Builds an underlay out of Mininet's parts: hosts for nodes and routers, bridges for switches, links.

What is built, with every name and address, is `cluster.underlay.Underlay`; nothing is decided here.
"""

from __future__ import annotations

from typing import Any

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import Host, Switch
from mininet.topo import Topo

from testbed.cluster.underlay import NodeAttachment, Underlay, UnderlayLink, UnderlayRoute, UnderlayRouter
from testbed.dataplanes.linux import Sysctl
from testbed.drivers import iproute
from testbed.drivers.shaping import ShapedEnd, lose, shape
from testbed.drivers.shell import run
from testbed.emulation.namespaces import name_process_namespace
from testbed.inet import MacAddress, mac_of

_SWITCH_MAC_KIND = 4
"""Kind, for `mac_of`, of switch ports."""
_ROUTER_SYSCTLS = (
    Sysctl("net/ipv4/ip_forward", "1"),
    # Layer 4 hash: tunnels and Pod connections spread over equal paths by their ports.
    Sysctl("net/ipv4/fib_multipath_hash_policy", "1"),
    Sysctl("net/ipv4/conf/all/rp_filter", "0"),
)
_NODE_SYSCTLS = (
    Sysctl("net/ipv4/conf/all/rp_filter", "0"),
    Sysctl("net/ipv4/conf/default/rp_filter", "0"),
    # No limit on ICMP errors: a probe asks more in a second than a kernel would answer (six, then one a
    # second to each Pod), and a refusal that is not sent looks like a drop.
    Sysctl("net/ipv4/icmp_ratemask", "0"),
)
_QUIET_SYSCTLS = (
    Sysctl("net/ipv6/conf/all/disable_ipv6", "1"),
    Sysctl("net/ipv6/conf/default/disable_ipv6", "1"),
)


def router_namespace(router: str) -> str:
    """Return the name of a router's network namespace. A colon keeps it apart from every node's name."""
    return f"router:{router}"


class BridgeSwitch(Switch):  # type: ignore[misc] # Mininet has no types
    """A Linux bridge made with iproute2; Mininet's own LinuxBridge needs brctl."""

    def start(self, _controllers: object) -> None:
        """Create the bridge and plug the links in."""
        name = self.name
        ports = [port for port in self.intfNames() if port != "lo"]
        iproute.batch(
            "",
            [
                f"link add {name} type bridge stp_state 0 mcast_snooping 0",
                *(f"link set {port} master {name} up" for port in ports),
                f"link set {name} up",
            ],
        )

    def stop(self, deleteIntfs: bool = True) -> None:  # noqa: N803 - Mininet's name
        """Delete the bridge."""
        iproute.batch("", [f"link del {self.name}"])
        super().stop(deleteIntfs)

    def dpctl(self, *_arguments: str) -> str:
        """Return nothing: a Linux bridge has no flows."""
        return ""


class UnderlayTopo(Topo):  # type: ignore[misc] # Mininet has no types
    """The Mininet topology of an underlay."""

    def build(self, underlay: Underlay) -> None:
        """Add hosts, switches and links, all named as the underlay names them."""
        macs = _switch_macs(underlay)
        macs.update((node.interface, node.mac) for node in underlay.nodes.values())
        for node in underlay.nodes.values():
            self.addHost(node.device, ip=None)
        for router in underlay.routers:
            self.addHost(router.name, ip=None)
            macs.update((interface.name, interface.mac) for interface in router.interfaces)
        for switch in underlay.switches:
            self.addSwitch(switch, cls=BridgeSwitch)
        for link in underlay.links:
            self.addLink(
                link.a.device,
                link.b.device,
                intfName1=link.a.interface,
                intfName2=link.b.interface,
                addr1=macs[link.a.interface],
                addr2=macs[link.b.interface],
            )


class EmulatedUnderlay:
    """A running underlay. `namespace_of` maps devices to network namespaces ("" for switches)."""

    def __init__(self, underlay: Underlay) -> None:
        self.plan = underlay
        setLogLevel("error")
        Mininet.inited = True  # its one-time set-up would change sysctls of the whole machine
        self._net: Any = Mininet(
            topo=UnderlayTopo(underlay=underlay), controller=None, build=False
        )  # Any: no types

    def start(self) -> None:
        """Build and start everything, address it, shape the links, and verify all of it.

        Raises:
            CommandFailed, RunFailed: the kernel refuses something, or did something else.
        """
        self._net.build()
        self._net.start()
        for node in self.plan.nodes.values():
            self._start_node(node)
        for router in self.plan.routers:
            self._start_router(router)
        for link in self.plan.links:
            self._set_mtu(link)
            self._shape(link)

    def host(self, device: str) -> Host:
        """Return Mininet's host of a node's device or a router."""
        return self._net.get(device)

    def namespace_of(self, device: str) -> str:
        """Return the network namespace a device's interfaces are in."""
        for node in self.plan.nodes.values():
            if node.device == device:
                return node.node
        return router_namespace(device) if any(router.name == device for router in self.plan.routers) else ""

    def add_router_routes(self, router: str, routes: tuple[UnderlayRoute, ...]) -> None:
        """Add static routes to a router; several next hops share the connections (ECMP)."""
        iproute.batch(router_namespace(router), [_route_line(route) for route in routes])

    def _start_node(self, node: NodeAttachment) -> None:
        name_process_namespace(node.node, self.host(node.device).pid)
        iproute.write_sysctls(node.node, [*_QUIET_SYSCTLS, *_NODE_SYSCTLS])
        lines = [
            f"link set {node.interface} mtu {self.plan.mtu_bytes} up",
            f"addr add {node.address}/{node.prefix_length} dev {node.interface}",
        ]
        # kubeadm asks for a default route: kube-proxy rejects packets as they are forwarded, which takes a
        # way on for them. On a segment without a router it leads to the wire, where nobody takes them.
        way = f"via {node.gateway}" if node.gateway is not None else f"dev {node.interface}"
        iproute.batch(node.node, [*lines, f"route add default {way}"])

    def _start_router(self, router: UnderlayRouter) -> None:
        namespace = router_namespace(router.name)
        name_process_namespace(namespace, self.host(router.name).pid)
        iproute.write_sysctls(namespace, [*_QUIET_SYSCTLS, *_ROUTER_SYSCTLS])
        lines = [
            line
            for interface in router.interfaces
            for line in (
                f"link set {interface.name} mtu {self.plan.mtu_bytes} up",
                f"addr add {interface.address}/{interface.prefix_length} dev {interface.name}",
            )
        ]
        iproute.batch(namespace, [*lines, *map(_route_line, router.routes)])

    def _set_mtu(self, link: UnderlayLink) -> None:
        for end in (link.a, link.b):
            if not self.namespace_of(end.device):
                run(["ip", "link", "set", end.interface, "mtu", str(self.plan.mtu_bytes)])

    def _shape(self, link: UnderlayLink) -> None:
        for end in (link.a, link.b):
            shape(ShapedEnd(self.namespace_of(end.device), end.interface), link.shape)
        if link.shape.loss:
            lose(ShapedEnd(self.namespace_of(link.b.device), link.b.interface), link.shape.loss)


def _switch_macs(underlay: Underlay) -> dict[str, MacAddress]:
    """Return a MAC for every end of every link; nodes and routers have theirs in the plan."""
    interfaces = [end.interface for link in underlay.links for end in (link.a, link.b)]
    return {name: mac_of(_SWITCH_MAC_KIND, number) for number, name in enumerate(interfaces, start=1)}


def _route_line(route: UnderlayRoute) -> str:
    hops = [f"via {hop.address} dev {hop.interface}" for hop in route.next_hops]
    if len(hops) == 1:
        return f"route replace {route.destination} {hops[0]}"
    return f"route replace {route.destination} " + " ".join(f"nexthop {hop}" for hop in hops)
