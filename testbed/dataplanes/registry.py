"""The one place that knows which network plugins exist. Everything else asks here by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.dataplanes.network import none, ovs
from testbed.dataplanes.program import NodeProgram, PodInterface
from testbed.errors import UsageError
from testbed.intent import NodeIdentity, NodeIntent, PodAttachment


@dataclass(frozen=True, slots=True)
class NetworkPlugin:
    """A network plugin: pure functions, and the mechanisms whose drivers carry its programs out.

    Mechanisms: "iproute" (links, addresses, routes, neighbours, sysctls), "openvswitch" (a daemon pair a
    node, bridges and ports), "openflow" (the controller).
    """

    name: str
    encapsulations: tuple[str, ...]
    mechanisms: tuple[str, ...]
    render: Callable[[NodeIntent], NodeProgram]
    pod_interface: Callable[[NodeIdentity, PodAttachment], PodInterface]


NETWORK_PLUGINS = {
    module.NAME: NetworkPlugin(
        module.NAME, module.ENCAPSULATIONS, module.MECHANISMS, module.render, module.pod_interface
    )
    for module in (ovs, none)
}


def network_plugin(name: str) -> NetworkPlugin:
    """Return the plugin of a name.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return NETWORK_PLUGINS[name]
    except KeyError:
        known = ", ".join(sorted(NETWORK_PLUGINS))
        raise UsageError(f"no network plugin is called '{name}'; there are: {known}") from None
