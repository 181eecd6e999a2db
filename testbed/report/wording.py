"""What a run was and what it found, in sentences. Owns no numbers: it words those of the view."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from testbed.analysis.axes import Setting, swept_axes
from testbed.analysis.frames import (
    WITHOUT_BASELINE,
    protocol_of,
    sorted_measurements,
    sorted_paths,
    sorted_protocols,
)
from testbed.analysis.verdict import Level
from testbed.records.schema import RAW_VETH, RunRecord, TrialRecord, TrialStatus
from testbed.report.dataplanes import named_dataplanes, shared_dataplane
from testbed.report.labels import METRIC_LABELS, last_part, measurement_label, path_label
from testbed.report.numbers import count_range, counted, duration, listed, quantity, significant
from testbed.report.view import Measurement, RunView

VERDICTS = {
    Level.OK: "Nothing speaks against these figures.",
    Level.CAUTION: "Read these figures with the following in mind.",
    Level.SPOILED: "Do not rely on these figures.",
}
DATAPATHS = {
    "system": "Open vSwitch forwards in the kernel (datapath type system).",
    "netdev": "Open vSwitch forwards in user space, without DPDK (datapath type netdev).",
}
TYPES = {
    "latency": "round-trip time of requests and responses",
    "ping": "round-trip time of echoes",
    "connect": "time to open a connection",
    "throughput": "payload received per second",
    "programming": "time to add a Service, until it is in force everywhere and until a connection succeeds",
}


def sentences_of(view: RunView) -> list[str]:
    """Return what was run, one sentence each."""
    record = view.record
    sentences = [
        _network(record),
        *_datapaths(record),
        *_sweep(view),
        *_measured(record),
        _repetition(view),
        _when(record),
    ]
    return [sentence for sentence in sentences if sentence]


def key_findings(view: RunView) -> list[str]:
    """Return how far the nearest and the farthest path are from raw veth, a sentence per protocol."""
    found = [_finding(view, m, protocol) for m in view.measurements for protocol in m.protocols]
    return [sentence for sentence in found if sentence]


def _network(record: RunRecord) -> str:
    cells = record.cells
    if not cells:
        return "No network was built."
    sizes = [
        _sized("node", [cell.nodes for cell in cells]),
        _sized("Pod", [cell.pods for cell in cells]),
        _sized("Service", [cell.services for cell in cells]),
    ]
    mtu = count_range([cell.mtu_bytes for cell in cells])
    built = counted(len(cells), "time")
    took = duration(sum(cell.build_s for cell in cells) / len(cells))
    dataplane = shared_dataplane(record)
    joined = f", joined by {dataplane}" if dataplane else ""
    return (
        f"A cluster of {listed(sizes)}{joined}, with an MTU of {mtu} bytes inside the Pods. "
        f"It was built {built}, in {took} on average."
    )


def _sized(noun: str, numbers: Sequence[int]) -> str:
    return f"{count_range(numbers)} {noun if set(numbers) == {1} else f'{noun}s'}"


def _datapaths(record: RunRecord) -> list[str]:
    kinds = sorted({cell.datapath_type for cell in record.cells if cell.datapath_type})
    return [DATAPATHS.get(kind, f"Open vSwitch ran with the datapath type {kind}.") for kind in kinds]


def _sweep(view: RunView) -> list[str]:
    if not view.has_variants:
        return []
    axes = [axis for axis in swept_axes(view.record) if len(axis.values) > 1]
    count = counted(len(view.variants), "variant")
    if len(axes) > 1:
        parts = [f"{last_part(axis.key)} ({', '.join(map(_value, axis.values))})" for axis in axes]
        sentence = f"{count} side by side: {' by '.join(parts)}."
    else:
        what = view.variant_heading if view.variant_heading != "variant" else "settings"
        sentence = f"{count} side by side ({what}): {listed([view.variant_names[v] for v in view.variants])}."
    named = named_dataplanes(view.record)
    return [sentence, *([f"{'; '.join(named)}."] if named else [])]


def _value(value: Setting) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:,}" if is_number else str(value)


def _measured(record: RunRecord) -> list[str]:
    sentences = []
    for name in sorted_measurements(record):
        trials = [trial for trial in record.trials if trial.measurement == name]
        protocols = listed(sorted_protocols(protocol_of(trial) for trial in trials))
        kind = trials[0].type
        what = f"{TYPES.get(kind, kind)} over {protocols}" if protocols else TYPES.get(kind, kind)
        on = "" if kind in WITHOUT_BASELINE else _on(trials, record)
        sentences.append(f"{measurement_label(name, kind)}: {what}, {_each(trials)} a trial{on}.")
    paths = [path_label(path) for path in sorted_paths(trial.path for trial in record.trials)]
    return [*sentences, f"Paths: {'; '.join(paths)}."] if paths else []


def _on(trials: Sequence[TrialRecord], record: RunRecord) -> str:
    """Return the paths of a measurement where they are not those of the whole run."""
    paths = sorted_paths(trial.path for trial in trials)
    if paths == sorted_paths(t.path for t in record.trials if t.type not in WITHOUT_BASELINE):
        return ""
    return f", on {'; '.join(path_label(path) for path in paths)}"


def _each(trials: Sequence[TrialRecord]) -> str:
    lengths = sorted(trial.duration_s for trial in trials)
    return duration(lengths[len(lengths) // 2])


def _repetition(view: RunView) -> str:
    trials = view.record.trials
    repeats = len({trial.repeat for trial in trials})
    failed = sum(trial.status is TrialStatus.FAILED for trial in trials)
    outcome = f"{failed} of them failed" if failed else "all of them succeeded"
    has_raw = any(trial.path == RAW_VETH for trial in trials)
    beside = ", with raw veth measured beside it" if has_raw else ""
    return (
        f"{counted(repeats, 'repeat')}, each on a network built afresh{beside}; "
        f"{counted(len(trials), 'trial')} in a shuffled order (seed {view.record.seed}), {outcome}."
    )


def _when(record: RunRecord) -> str:
    try:
        started, finished = datetime.fromisoformat(record.started), datetime.fromisoformat(record.finished)
        length = duration((finished - started).total_seconds())
    except (ValueError, TypeError):
        return f"Started {record.started}, finished {record.finished}."
    zone = started.tzname() or "local time"
    return f"It took {length}, from {started:%Y-%m-%d %H:%M} to {finished:%H:%M} ({zone})."


def _finding(view: RunView, measurement: Measurement, protocol: str) -> str:
    if not measurement.has_baseline:
        return _finding_without_baseline(view, measurement, protocol)
    rows = view.main_of(measurement)
    rows = rows.loc[
        (rows["protocol"] == protocol)
        & rows["path"].isin(list(measurement.own_paths))
        & rows["ratio"].notna()
    ].sort_values("ratio", kind="stable")
    if rows.empty or tuple(measurement.own_paths) == tuple(measurement.paths):
        return ""
    what = _named(measurement, protocol)
    unit = f"the {METRIC_LABELS[measurement.metric]} of raw veth"
    ends = [rows.iloc[0], rows.iloc[-1]]
    texts = [
        f"{_factor(float(row['ratio']))} {unit} ({_who(view, row['path'], row['variant'])})" for row in ends
    ]
    if len(rows) == 1:
        return f"{what}: {texts[0]}."
    nearest = texts[0].replace(f" of {unit}", "").replace(f" {unit}", "")
    return f"{what}: from {nearest} to {texts[1]}."


def _finding_without_baseline(view: RunView, measurement: Measurement, protocol: str) -> str:
    rows = view.main_of(measurement)
    rows = rows.loc[(rows["protocol"] == protocol) & rows["mean"].notna()].sort_values("mean", kind="stable")
    if rows.empty:
        return ""
    ends = [rows.iloc[0], rows.iloc[-1]] if len(rows) > 1 else [rows.iloc[0]]
    texts = [
        f"{quantity(float(row['mean']), measurement.metric)} ({_who(view, row['path'], row['variant'])})"
        for row in ends
    ]
    return f"{_named(measurement, protocol)}: {'from ' if len(ends) > 1 else ''}{' to '.join(texts)}."


def _named(measurement: Measurement, protocol: str) -> str:
    return f"{measurement.title}, {protocol}" if protocol else measurement.title


def _factor(ratio: float) -> str:
    return f"{significant(100 * ratio)} % of" if ratio < 1 else f"{significant(ratio)} times"


def _who(view: RunView, path: str, variant: str) -> str:
    heading = "" if view.variant_heading == "variant" else f"{view.variant_heading} "
    name = f"; {heading}{view.variant_names[variant]}" if view.has_variants else ""
    return f"{path_label(path)}{name}"
