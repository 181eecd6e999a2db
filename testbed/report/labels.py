"""Names for people: paths, measurements, axes, variants. Owns no numbers and no order."""

from __future__ import annotations

from testbed.analysis.axes import Setting, named_settings, settings_by_variant, swept_axes
from testbed.records.schema import RAW_VETH, RunRecord

PATH_LABELS = {
    RAW_VETH: "raw veth",
    "pod-same-node": "Pod IP, same node",
    "pod-other-node": "Pod IP, other node",
    "clusterip-same-node": "ClusterIP, same node",
    "clusterip-other-node": "ClusterIP, other node",
    "hairpin": "hairpin through ClusterIP",
    "first-service": "ClusterIP, first Service",
    "last-service": "ClusterIP, last Service",
    "new-service": "a new Service",
}

METRIC_LABELS = {
    "rtt_us": "round-trip time",
    "connect_us": "time to connect",
    "throughput_bps": "throughput",
    "programming_us": "time until in force",
    "first_connection_us": "time to the first connection",
}

STATISTIC_LABELS = {"p50": "median", "mean": "mean"}

NOUNS = {"services": ("Service", "Services"), "nodes": ("node", "nodes"), "repeats": ("repeat", "repeats")}
"""Last part of a swept key to the name of what it counts."""


def path_label(path: str) -> str:
    """Return the readable name of a path; a path of the experiment's own keeps its name."""
    return PATH_LABELS.get(path, path)


def measurement_label(name: str, kind: str) -> str:
    """Return the heading of a measurement: its name, with its type where the name does not say it."""
    heading = name[:1].upper() + name[1:]
    return heading if kind.lower() in name.lower() else f"{heading} ({kind})"


def variant_labels(record: RunRecord) -> dict[str, str]:
    """Return a short readable name of every variant.

    One swept setting: its value. Several: the label of a named axis, what a number counts, and any other
    value after the last part of its key. The variant's own label where that would not tell two apart.
    """
    settings = settings_by_variant(record)
    keys = [axis.key for axis in swept_axes(record)]
    named = named_settings(record)
    short = {}
    for variant, values in settings.items():
        parts = [
            str(values[key]) if len(keys) == 1 or key in named else _beside_others(key, values[key])
            for key in keys
            if key in values
        ]
        short[variant] = ", ".join(parts) or variant
    unique = len(set(short.values())) == len(short)
    return short if unique else {variant: variant for variant in settings}


def _beside_others(key: str, value: Setting) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_label(key, value)
    return f"{last_part(key)} {value}"


def sweep_heading(record: RunRecord) -> str:
    """Return what the variants differ in: "encapsulation", or "variant" for several settings."""
    axes = swept_axes(record)
    return last_part(axes[0].key) if len(axes) == 1 else "variant"


def last_part(key: str) -> str:
    """Return the last word of a dotted path: "encapsulation"."""
    return key.rpartition(".")[2]


def number_label(key: str, number: float) -> str:
    """Return a swept number with what it counts: "1,000 Services", "mtu 1,450"."""
    nouns = NOUNS.get(last_part(key))
    if nouns is None:
        return f"{last_part(key)} {number:,.10g}"
    return f"{number:,.10g} {nouns[0] if number == 1 else nouns[1]}"


def axis_label(key: str) -> str:
    """Return what a swept number counts, for the axis of a figure: "number of Services", "mtu"."""
    nouns = NOUNS.get(last_part(key))
    return f"number of {nouns[1]}" if nouns else last_part(key)


def short_number(number: float) -> str:
    """Return a number that fits below a tick: "100", "5k", "1.5M"."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.4g}{suffix}"
    return f"{number:.4g}"
