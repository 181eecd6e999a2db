"""Names for people: paths, measurements, axes, variants. Owns no numbers and no order."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.records.schema import RAW_VETH, RunRecord

PATH_LABELS = {
    RAW_VETH: "raw veth",
    "pod-same-node": "Pod IP, same node",
    "pod-other-node": "Pod IP, other node",
    "clusterip-same-node": "ClusterIP, same node",
    "clusterip-other-node": "ClusterIP, other node",
    "hairpin": "hairpin through ClusterIP",
}

METRIC_LABELS = {
    "rtt_us": "round-trip time",
    "connect_us": "time to connect",
    "throughput_bps": "throughput",
}

STATISTIC_LABELS = {"p50": "median", "mean": "mean"}


def path_label(path: str) -> str:
    """Return the readable name of a path; a path of the experiment's own keeps its name."""
    return PATH_LABELS.get(path, path)


def measurement_label(name: str, kind: str) -> str:
    """Return the heading of a measurement: its name, with its type where the name does not say it."""
    heading = name[:1].upper() + name[1:]
    return heading if kind.lower() in name.lower() else f"{heading} ({kind})"


def variant_labels(record: RunRecord) -> dict[str, str]:
    """Return a short readable name of every variant.

    One swept setting: its value. Several: each value after the last part of its key. The variant's own label
    where that would not tell two variants apart.
    """
    settings: dict[str, Mapping[str, object]] = {cell.variant: {} for cell in record.cells}
    settings |= {trial.variant: trial.settings for trial in record.trials}
    keys = swept_settings(record)
    short = {}
    for variant, values in settings.items():
        parts = [
            str(values[key]) if len(keys) == 1 else f"{_last_part(key)} {values[key]}"
            for key in keys
            if key in values
        ]
        short[variant] = ", ".join(parts) or variant
    unique = len(set(short.values())) == len(short)
    return short if unique else {variant: variant for variant in settings}


def swept_settings(record: RunRecord) -> list[str]:
    """Return the keys of all swept settings, sorted."""
    return sorted({key for trial in record.trials for key in trial.settings})


def sweep_heading(record: RunRecord) -> str:
    """Return what the variants differ in: "encapsulation", or "variant" for several settings."""
    keys = swept_settings(record)
    return _last_part(keys[0]) if len(keys) == 1 else "variant"


def _last_part(key: str) -> str:
    return key.rpartition(".")[2]
