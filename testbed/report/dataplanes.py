"""What network plugins and service proxies are called, and what a run's dataplanes were, in words."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.analysis.axes import named_settings, swept_axes
from testbed.analysis.dataplanes import (
    CARRIER_PATHS,
    DIRECT,
    PLUGIN,
    PROXY,
    Dataplane,
    dataplane_of,
    dataplanes_of,
)
from testbed.dataplanes.catalogue import NETWORK_PLUGINS, SERVICE_PROXIES
from testbed.records.schema import RunRecord

TOLD_BY = frozenset({PLUGIN, PROXY, DIRECT, *filter(None, CARRIER_PATHS.values())})
"""The paths of a spec that make a dataplane another one."""


def dataplane_words(plane: Dataplane) -> str:
    """Return a dataplane in words: "Flannel with VXLAN, Services by kube-proxy (iptables)"."""
    facts, proxy = NETWORK_PLUGINS.get(plane.plugin), SERVICE_PROXIES.get(plane.proxy)
    network = facts.title if facts else plane.plugin
    if plane.carrier:
        carrier = facts.carriers.get(plane.carrier) if facts else None
        network = f"{network} with {carrier.title if carrier else plane.carrier}"
    if plane.routes_directly:
        network = f"{network} and direct routing"
    if not plane.proxy or plane.proxy == plane.plugin:
        return network
    return f"{network}, Services by {proxy.title if proxy else plane.proxy}"


def shared_dataplane(record: RunRecord) -> str:
    """Return what all variants of a run have in common of their dataplane, in words; "" without a plugin."""
    planes = dataplanes_of(record)
    plugin, carrier, proxy = (
        _only([getattr(plane, part) for plane in planes]) for part in ("plugin", "carrier", "proxy")
    )
    direct = all(plane.routes_directly for plane in planes)
    return dataplane_words(Dataplane(plugin, carrier, proxy, direct)) if plugin else ""


def named_dataplanes(record: RunRecord) -> list[str]:
    """Return what the labels of named axes stand for: "ovs is Open vSwitch with VXLAN"."""
    named = named_settings(record)
    return [
        f"{label} is {dataplane_words(dataplane_of(record, {axis.key: label}))}"
        for axis in swept_axes(record)
        for label in map(str, axis.values)
        if TOLD_BY & named.get(axis.key, {}).get(label, {}).keys()
    ]


def _only(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else ""
