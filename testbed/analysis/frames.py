"""Tidy frames from a run: one row a trial, one row a sample. Owns the order they are shown in.

Pure: nothing is read, nothing is estimated; `statistics.py` and `verdict.py` do that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pandas as pd

from testbed.analysis.axes import inner_spec, rank_of_value, settings_by_variant, sweep_order
from testbed.records.schema import RAW_VETH, RunRecord, TrialRecord, TrialStatus

KEYS = ["measurement", "type", "protocol", "path", "variant"]
"""What makes a combination: repeats of one combination are compared with nothing but each other."""

PATH_ORDER = (
    RAW_VETH,
    "pod-same-node",
    "pod-other-node",
    "clusterip-same-node",
    "clusterip-other-node",
    "hairpin",
    "first-service",
    "last-service",
    "new-service",
)
TYPE_ORDER = ("latency", "ping", "connect", "throughput", "programming")
METRIC_ORDER = ("rtt_us", "connect_us", "throughput_bps", "programming_us", "first_connection_us")
PROTOCOL_ORDER = ("TCP", "UDP", "SCTP", "ICMP")

WITHOUT_BASELINE = frozenset({"programming"})
"""Types of measurement that raw veth has no figure for: it knows no Services."""


def trial_frame(record: RunRecord) -> pd.DataFrame:
    """Return the facts of every trial.

    Index: `trial`, as in RunRecord.trials. Columns: measurement, type, protocol, path, variant (ordered
    categories), repeat (int), is_ok (bool), error (text). A ping has the protocol "ICMP".
    """
    trials = record.trials
    return pd.DataFrame(
        {
            "measurement": _category(sorted_measurements(record), (t.measurement for t in trials)),
            "type": _category([trial.type for trial in trials]),
            "protocol": _category(sorted_protocols(protocol_of(t) for t in trials), map(protocol_of, trials)),
            "path": _category(sorted_paths(trial.path for trial in trials), (t.path for t in trials)),
            "variant": _category(sorted_variants(record), (trial.variant for trial in trials)),
            "repeat": pd.Series([trial.repeat for trial in trials], dtype="int64"),
            "is_ok": pd.Series([trial.status is TrialStatus.OK for trial in trials], dtype="bool"),
            "error": pd.Series([trial.error for trial in trials], dtype="str"),
        },
        index=pd.RangeIndex(len(trials), name="trial"),
    )


def tidy_samples(record: RunRecord, samples: pd.DataFrame) -> pd.DataFrame:
    """Return the samples of the trials that succeeded, each with the facts of its trial.

    Columns: trial, metric, sequence, value as in `schema.py`, then measurement, type, protocol, path,
    variant, repeat as in `trial_frame`.
    """
    facts = trial_frame(record)
    facts = facts.loc[facts["is_ok"], [*KEYS, "repeat"]]
    kept = samples.loc[samples["trial"].isin(facts.index)]
    joined: pd.DataFrame = kept.join(facts, on="trial")
    return joined.reset_index(drop=True)


def protocol_of(trial: TrialRecord) -> str:
    """Return the protocol a trial used; ICMP for a ping, whose measurement names none."""
    return trial.protocol or ("ICMP" if trial.type == "ping" else "")


def sorted_paths(paths: Iterable[str]) -> list[str]:
    """Return distinct paths: raw veth first, then the path matrix, then the experiment's own by name."""
    return sorted(set(paths), key=lambda path: (_place(PATH_ORDER, path), path))


def sorted_protocols(protocols: Iterable[str]) -> list[str]:
    """Return distinct protocols: TCP, UDP, SCTP, ICMP, then others by name."""
    return sorted(set(protocols), key=lambda protocol: (_place(PROTOCOL_ORDER, protocol), protocol))


def sorted_measurements(record: RunRecord) -> list[str]:
    """Return the names of all measurements, in the order of the experiment, then by type."""
    types = {trial.measurement: trial.type for trial in record.trials}
    listed = inner_spec(record).get("measurements")
    items = listed if isinstance(listed, list | tuple) else ()
    names = tuple(str(item.get("name")) for item in items if isinstance(item, Mapping))
    return sorted(types, key=lambda name: (_place(names, name), _place(TYPE_ORDER, types[name]), name))


def sorted_metrics(metrics: Iterable[str]) -> list[str]:
    """Return distinct metrics in the order in which a measurement's are shown, then others by name."""
    return sorted(set(metrics), key=lambda metric: (_place(METRIC_ORDER, metric), metric))


def sorted_variants(record: RunRecord) -> list[str]:
    """Return the labels of all variants, in the order of the values of the experiment's sweep.

    A value that the experiment does not list comes after those it lists: numbers by size, then text by name.
    """
    settings = settings_by_variant(record)
    order = sweep_order(record)
    names = sorted({name for values in settings.values() for name in values})

    def rank(variant: str) -> tuple[object, ...]:
        values = settings[variant]
        return (*(rank_of_value(order.get(name, ()), values.get(name)) for name in names), _natural(variant))

    return sorted(settings, key=rank)


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts "node-2" before "node-10"."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def _place(order: tuple[str, ...], item: str) -> int:
    return order.index(item) if item in order else len(order)


def _category(order: Iterable[str], values: Iterable[str] | None = None) -> pd.Series[str]:
    """Return values as ordered categories; their own order of appearance where none is given."""
    listed = list(order)
    shown = listed if values is None else list(values)
    return pd.Series(pd.Categorical(shown, categories=list(dict.fromkeys(listed)), ordered=True))
