"""Which network plugins and service proxies exist, and what must be known of each before it is chosen.

One entry each, read by every layer: spec validates against it, cluster works MTUs out from it, the registry
finds the module of the same name in `network/` or `proxy/`. Imports nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Carrier:
    """A way in which a plugin carries Pods' packets between nodes.

    `encapsulation` is "none", or what a packet is wrapped in. With `needs_one_segment`, all nodes must reach
    each other without a router. `capabilities` are names of `emulation.capabilities`. `title` is for readers.
    """

    encapsulation: str = "none"
    title: str = "no encapsulation"
    needs_one_segment: bool = False
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPluginFacts:
    """A network plugin.

    `mechanisms` are what its programs are made of, and so which drivers carry them out. `service_proxies`
    are those that work with it, its default first. `carriers` are its choices under the key `carrier_key` of
    `network`, the default first; a plugin without the key has one carrier, named "". `options` are keys of
    `network` that no other plugin need have. `most_nodes` is None where there is no limit. With
    `learns_neighbours`, Pods and nodes ask for each other's MACs (ARP), as on a Linux bridge.
    """

    mechanisms: tuple[str, ...]
    service_proxies: tuple[str, ...]
    title: str
    carrier_key: str = ""
    carriers: Mapping[str, Carrier] = field(default_factory=lambda: {"": Carrier()})
    options: tuple[str, ...] = ()
    most_nodes: int | None = None
    learns_neighbours: bool = True

    @property
    def is_installed(self) -> bool:
        """Whether there is a plugin at all: without one, nodes stay NotReady."""
        return bool(self.mechanisms)

    @property
    def carrier_path(self) -> str:
        """Dotted path of the key that chooses a carrier, in the spec of an experiment; "" without one."""
        return f"cluster.network.{self.carrier_key}" if self.carrier_key else ""


@dataclass(frozen=True, slots=True)
class ServiceProxyFacts:
    """A service proxy. `rejects_unknown_ports`: it answers for ports that a ClusterIP does not have."""

    mechanisms: tuple[str, ...]
    title: str
    rejects_unknown_ports: bool = True

    @property
    def is_installed(self) -> bool:
        """Whether anything serves the Services' addresses."""
        return bool(self.mechanisms)


NETWORK_PLUGINS: Mapping[str, NetworkPluginFacts] = {
    "ovs": NetworkPluginFacts(
        mechanisms=("openvswitch", "iproute"),
        service_proxies=("ovs", "none"),
        title="Open vSwitch",
        carrier_key="encapsulation",
        carriers={
            "vxlan": Carrier("vxlan", "VXLAN"),
            "geneve": Carrier("geneve", "Geneve"),
            "none": Carrier(),
        },
        options=("datapath_type",),
        learns_neighbours=False,
    ),
    "flannel": NetworkPluginFacts(
        mechanisms=("iproute", "iptables"),
        service_proxies=("iptables", "nftables", "none"),
        title="Flannel",
        carrier_key="backend",
        carriers={
            "vxlan": Carrier("vxlan", "VXLAN", capabilities=("vxlan",)),
            "host-gw": Carrier(title="host-gw", needs_one_segment=True),
        },
        options=("direct_routing",),
    ),
    "bridge": NetworkPluginFacts(
        ("iproute",), ("iptables", "nftables", "none"), "Linux bridge", most_nodes=1
    ),
    "none": NetworkPluginFacts(mechanisms=(), service_proxies=("none",), title="no network plugin"),
}
"""Network plugins by the name that `network.plugin` gives. "none" leaves the nodes NotReady."""

SERVICE_PROXIES: Mapping[str, ServiceProxyFacts] = {
    "ovs": ServiceProxyFacts(mechanisms=("openvswitch",), title="Open vSwitch"),
    "iptables": ServiceProxyFacts(
        mechanisms=("iptables",), title="kube-proxy (iptables)", rejects_unknown_ports=False
    ),
    "nftables": ServiceProxyFacts(mechanisms=("nftables",), title="kube-proxy (nftables)"),
    "none": ServiceProxyFacts(mechanisms=(), title="nothing"),
}
"""Service proxies by the name that `serviceProxy.mode` gives."""


def mechanisms_of(plugin: str, proxy: str) -> tuple[str, ...]:
    """Return the mechanisms that a network plugin and a service proxy need together, each once, sorted."""
    return tuple(sorted({*NETWORK_PLUGINS[plugin].mechanisms, *SERVICE_PROXIES[proxy].mechanisms}))
