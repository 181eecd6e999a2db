"""Every dataplane that a cluster can have, in one list, over which tests on the kernel run.

Made from the catalogue, so that a new plugin or proxy is tested as soon as it stands there.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.dataplanes.catalogue import NETWORK_PLUGINS, Carrier


@dataclass(frozen=True, slots=True)
class Combination:
    """A network plugin, the way it carries packets between nodes, and a service proxy."""

    plugin: str
    carrier: str
    proxy: str
    direct_routing: bool = False

    def __str__(self) -> str:
        direct = "direct" if self.direct_routing else ""
        return "-".join(filter(None, (self.plugin, self.carrier, direct, f"proxy_{self.proxy}")))

    @property
    def facts(self) -> Carrier:
        return NETWORK_PLUGINS[self.plugin].carriers[self.carrier]

    @property
    def encapsulation(self) -> str:
        return self.facts.encapsulation

    @property
    def most_nodes(self) -> int | None:
        return NETWORK_PLUGINS[self.plugin].most_nodes

    def spec(self) -> dict[str, object]:
        """The keys of a Cluster's spec that ask for it."""
        network: dict[str, object] = {"plugin": self.plugin}
        if self.carrier:
            network[NETWORK_PLUGINS[self.plugin].carrier_key] = self.carrier
        if self.direct_routing:
            network["directRouting"] = True
        return {"network": network, "serviceProxy": {"mode": self.proxy}}


def _all() -> tuple[Combination, ...]:
    found = [
        Combination(plugin, carrier, proxy)
        for plugin, facts in NETWORK_PLUGINS.items()
        if facts.mechanisms
        for carrier in facts.carriers
        for proxy in facts.service_proxies
    ]
    direct = [
        Combination(plugin, carrier, facts.service_proxies[0], direct_routing=True)
        for plugin, facts in NETWORK_PLUGINS.items()
        if "direct_routing" in facts.options
        for carrier, how in facts.carriers.items()
        if how.encapsulation != "none"
    ]
    return (*found, *direct)


COMBINATIONS = _all()
SERVED = tuple(each for each in COMBINATIONS if each.proxy != "none")
"""Those with a service proxy."""


def topologies_of(combination: Combination) -> tuple[str, ...]:
    """The topologies to try a combination on: plain for all, others where the carrier matters."""
    if combination.most_nodes == 1:
        return ("single",)
    if combination.proxy != NETWORK_PLUGINS[combination.plugin].service_proxies[0]:
        return ("single",)
    if combination.direct_routing:
        return ("leaf-spine",)
    if combination.facts.needs_one_segment:
        return ("single", "tree")
    return {"geneve": ("linear", "leaf-spine"), "none": ("tree", "leaf-spine")}.get(
        combination.encapsulation, ("single", "leaf-spine")
    )
