"""The tables of the report, as text ready to be set: statistics, failed trials, and what the run ran on."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from testbed.analysis.frames import protocol_of
from testbed.analysis.statistics import is_rate
from testbed.records.schema import RAW_VETH, RunRecord, TrialStatus
from testbed.report.labels import path_label
from testbed.report.numbers import quantity, quantity_interval, ratio, ratio_range
from testbed.report.view import Measurement, RunView


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One combination: its main statistic, its tail, and how far it is from raw veth."""

    path: str
    protocol: str
    variant: str
    n: int
    value: str
    interval: str
    tail: str
    ratio: str
    ratio_interval: str
    is_raw: bool


@dataclass(frozen=True, slots=True)
class FindingTable:
    """All combinations of one measurement; without a baseline there are no ratios."""

    title: str
    value_heading: str
    has_tail: bool
    has_protocol: bool
    has_baseline: bool
    rows: tuple[FindingRow, ...]


@dataclass(frozen=True, slots=True)
class FailedTrial:
    """A trial that failed, with what it was and what it said."""

    number: int
    variant: str
    repeat: int
    measurement: str
    protocol: str
    path: str
    error: str


def finding_tables(view: RunView) -> list[FindingTable]:
    """Return a table of statistics for every measurement."""
    return [_finding_table(view, measurement) for measurement in view.measurements]


def _finding_table(view: RunView, measurement: Measurement) -> FindingTable:
    summary = view.rows_of(measurement)
    tails = summary.loc[summary["statistic"] == "p99"].set_index(["protocol", "path", "variant"])["mean"]
    rows = tuple(_finding_row(view, row, tails) for _, row in view.main_of(measurement).iterrows())
    heading = "mean rate" if is_rate(measurement.metric) else "median"
    return FindingTable(
        title=measurement.title,
        value_heading=heading,
        has_tail=bool(len(tails)),
        has_protocol=any(measurement.protocols),
        has_baseline=measurement.has_baseline,
        rows=rows,
    )


def _finding_row(view: RunView, row: pd.Series, tails: pd.Series) -> FindingRow:
    metric, mean = str(row["metric"]), float(row["mean"])
    tail = float(tails.get((row["protocol"], row["path"], row["variant"]), math.nan))
    is_raw = row["path"] == RAW_VETH
    return FindingRow(
        path=path_label(str(row["path"])),
        protocol=str(row["protocol"]),
        variant=view.variant_names[str(row["variant"])] if view.has_variants else "",
        n=int(row["n"]),
        value=quantity(mean, metric),
        interval=quantity_interval(float(row["low"]), float(row["high"]), mean, metric),
        tail=quantity(tail, metric) if math.isfinite(tail) else "",
        ratio="" if is_raw else _ratio_text(row),
        ratio_interval="" if is_raw else ratio_range(float(row["ratio_low"]), float(row["ratio_high"])),
        is_raw=is_raw,
    )


def _ratio_text(row: pd.Series) -> str:
    """Return the ratio, with its own n where raw veth failed in some repeats."""
    text = ratio(float(row["ratio"]))
    return text if row["ratio_n"] == row["n"] else f"{text} (n = {int(row['ratio_n'])})"


def failed_trials(view: RunView) -> list[FailedTrial]:
    """Return every trial that failed, in the order of the run."""
    return [
        FailedTrial(
            number=index,
            variant=view.variant_names[trial.variant] if view.has_variants else "",
            repeat=trial.repeat,
            measurement=trial.measurement,
            protocol=protocol_of(trial),
            path=path_label(trial.path),
            error=trial.error or "(it gave no reason)",
        )
        for index, trial in enumerate(view.record.trials)
        if trial.status is TrialStatus.FAILED
    ]


def failure_reasons(failed: Sequence[FailedTrial]) -> list[tuple[str, int]]:
    """Return every distinct error and how many trials it ended, the most frequent first."""
    counts = Counter(trial.error for trial in failed)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def provenance_rows(record: RunRecord) -> list[tuple[str, str]]:
    """Return what the run ran on, as names and values."""
    facts = record.provenance
    datapaths = sorted({cell.datapath_type for cell in record.cells if cell.datapath_type})
    rows = [
        ("Kernel", facts.kernel),
        ("Engine", facts.engine),
        ("Processor", f"{facts.processor}, {facts.processors} logical"),
        ("Memory", f"{facts.memory_mib:,} MiB"),
        ("Open vSwitch datapath", ", ".join(datapaths)),
        ("Testbed", facts.testbed_version),
        ("Source commit", facts.git_commit),
        *_prefixed("Program", facts.programs),
        *_prefixed("Package", facts.packages),
        *_prefixed("Pinned", facts.pinning),
        *_prefixed("Offload", facts.offloads),
        *_prefixed("sysctl", facts.sysctls),
    ]
    return [(name, value) for name, value in rows if value]


def _prefixed(prefix: str, values: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(f"{prefix}: {name}", value) for name, value in sorted(values.items())]


def summary_csv(summary: pd.DataFrame) -> str:
    """Return the table of statistics as CSV with 17 significant digits; unknown numbers are empty."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(summary.columns)
    for row in summary.itertuples(index=False):
        writer.writerow(["" if isinstance(x, float) and math.isnan(x) else x for x in row])
    return buffer.getvalue()
