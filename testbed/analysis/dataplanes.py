"""Which network plugin and service proxy a variant ran with, as far as the record tells. Pure.

The record's spec is that of the experiment; what a variant sweeps stands above it. A variant with another
plugin than the experiment's has nothing of what the experiment says about its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.analysis.axes import Setting, inner_spec, named_settings
from testbed.dataplanes.catalogue import NETWORK_PLUGINS
from testbed.records.schema import RunRecord

PLUGIN, PROXY = "cluster.network.plugin", "cluster.serviceProxy.mode"
DIRECT = "cluster.network.directRouting"
CARRIER_PATHS = {name: facts.carrier_path for name, facts in NETWORK_PLUGINS.items()}
"""Plugin to the path that says how it carries packets between nodes, "" where there is no choice."""

DEFAULTS = {
    name: (next(iter(facts.carriers)), facts.service_proxies[0]) for name, facts in NETWORK_PLUGINS.items()
}
"""Plugin to the carrier and service proxy it has where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Dataplane:
    """A network plugin, its way between nodes, and the proxy of its Services; "" where it is not known.

    With `routes_directly`, nodes that share a segment reach each other without the carrier.
    """

    plugin: str
    carrier: str
    proxy: str
    routes_directly: bool = False


def dataplane_of(record: RunRecord, settings: Mapping[str, Setting]) -> Dataplane:
    """Return the dataplane of a variant with these settings.

    Args:
        record: the run.
        settings: as `TrialRecord.settings`; none for the experiment's own dataplane.
    """
    chosen = _chosen(record, settings)
    base = _text(_at(inner_spec(record), PLUGIN))
    plugin = _text(chosen.get(PLUGIN)) or base
    carrier, proxy = DEFAULTS.get(plugin, ("", ""))
    direct = chosen.get(DIRECT)
    if plugin == base:
        direct = _at(inner_spec(record), DIRECT) if direct is None else direct
        carrier = _text(_at(inner_spec(record), CARRIER_PATHS.get(plugin, ""))) or carrier
        proxy = _text(_at(inner_spec(record), PROXY)) or proxy
    return Dataplane(
        plugin,
        _text(chosen.get(CARRIER_PATHS.get(plugin, ""))) or carrier,
        _text(chosen.get(PROXY)) or proxy,
        direct is True,
    )


def dataplanes_of(record: RunRecord) -> tuple[Dataplane, ...]:
    """Return every dataplane that a run measured, each once, in the order of its variants' labels."""
    measured = {trial.variant: trial.settings for trial in record.trials} or {"": {}}
    return tuple(dict.fromkeys(dataplane_of(record, settings) for _, settings in sorted(measured.items())))


def _chosen(record: RunRecord, settings: Mapping[str, Setting]) -> dict[str, object]:
    """Return the value at every dotted path that a variant sets, directly or by the label of a named axis."""
    named = named_settings(record)
    chosen: dict[str, object] = {}
    for key, value in settings.items():
        chosen |= named[key].get(str(value), {}) if key in named else {key: value}
    return chosen


def _at(spec: Mapping[str, object], path: str) -> object:
    place: object = spec
    for key in path.split("."):
        place = place.get(key) if isinstance(place, Mapping) else None
    return place


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
