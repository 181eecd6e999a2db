"""From the names that a cluster gives to the modules behind them, and their parts put together.

A network plugin is a module of `network/`, a service proxy one of `proxy/`, each named as the catalogue names
it. Both render objects per owner; a node's program is what both say, and neither knows of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from testbed.dataplanes.catalogue import NETWORK_PLUGINS, SERVICE_PROXIES, mechanisms_of
from testbed.dataplanes.linux import PodInterface
from testbed.dataplanes.program import NODE_OWNER, NodeProgram, ProgramObject
from testbed.errors import UsageError
from testbed.intent import IntentObject, NodeIdentity, NodeIntent, PodAttachment

Objects = tuple[ProgramObject, ...]


class ProgramPart(Protocol):
    """What a service proxy's module has: its part of a node's program, owner by owner. Pure functions."""

    def render_node(self, node: NodeIdentity) -> Objects:
        """Return what a node has whatever its objects are."""

    def render_object(self, node: NodeIdentity, thing: IntentObject) -> Objects:
        """Return the objects of one owner on a node; none for what is not this part's business."""


class NetworkPluginPart(ProgramPart, Protocol):
    """What a network plugin's module has."""

    def pod_interface(self, node: NodeIdentity, pod: PodAttachment) -> PodInterface:
        """Return what a Pod's eth0 is given."""


@dataclass(frozen=True, slots=True)
class Dataplane:
    """A network plugin and a service proxy together. `mechanisms` are names of drivers, sorted."""

    plugin: str
    proxy: str
    mechanisms: tuple[str, ...]
    network: NetworkPluginPart
    services: ProgramPart

    def render(self, intent: NodeIntent) -> NodeProgram:
        """Return the whole program of a node."""
        owners = {NODE_OWNER: self.render_node(intent.node)}
        for key, thing in sorted(intent.objects.items()):
            owners[key] = self.render_object(intent.node, thing)
        return NodeProgram(intent.node.name, owners)

    def render_node(self, node: NodeIdentity) -> Objects:
        """Return what a node has whatever its objects are."""
        return (*self.network.render_node(node), *self.services.render_node(node))

    def render_object(self, node: NodeIdentity, thing: IntentObject) -> Objects:
        """Return the objects of one owner on a node."""
        return (*self.network.render_object(node, thing), *self.services.render_object(node, thing))


def dataplane(plugin: str, proxy: str) -> Dataplane:
    """Return a network plugin and a service proxy by name.

    Raises:
        UsageError: there is no such plugin or proxy.
    """
    for kind, name, known in (
        ("network plugin", plugin, NETWORK_PLUGINS),
        ("service proxy", proxy, SERVICE_PROXIES),
    ):
        if name not in known:
            raise UsageError(f"no {kind} is called '{name}'; there are: {', '.join(sorted(known))}")
    network: NetworkPluginPart = import_module(f"testbed.dataplanes.network.{plugin}")
    services: ProgramPart = import_module(f"testbed.dataplanes.proxy.{proxy}")
    return Dataplane(plugin, proxy, mechanisms_of(plugin, proxy), network, services)
