"""One run made ready to be shown: frames, statistics, verdict; order, names and colours of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis.frames import sorted_variants, tidy_samples, trial_frame
from testbed.analysis.statistics import main_rows, repeat_statistics, summarise
from testbed.analysis.verdict import Verdict, judge
from testbed.records.schema import RAW_VETH, RunRecord
from testbed.report.labels import sweep_heading, variant_labels
from testbed.report.style import Look, path_looks, variant_looks

Combination = tuple[str, ...]
"""Measurement, protocol, path and variant."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement that has samples: its protocols and paths in the order they are shown."""

    name: str
    type: str
    metric: str
    protocols: tuple[str, ...]
    paths: tuple[str, ...]

    @property
    def own_paths(self) -> tuple[str, ...]:
        """The paths without raw veth; raw veth alone where there is no other."""
        return tuple(path for path in self.paths if path != RAW_VETH) or self.paths


@dataclass(frozen=True, slots=True)
class RunView:
    """Everything that figures, tables and sentences are made from.

    `pooled` has the samples of every combination, all repeats together; `analysis.statistics` describes
    `summary` and `main`. `variants` has the labels of the records in order; `variant_names` their short
    names.
    """

    record: RunRecord
    pooled: Mapping[Combination, NDArray[np.float64]]
    summary: pd.DataFrame
    main: pd.DataFrame
    verdict: Verdict
    measurements: tuple[Measurement, ...]
    variants: tuple[str, ...]
    variant_names: Mapping[str, str]
    variant_heading: str
    variant_looks: Mapping[str, Look]
    path_looks: Mapping[str, Look]

    @property
    def has_variants(self) -> bool:
        """Whether there is something to tell apart by variant."""
        return len(self.variants) > 1

    def samples_of(self, measurement: str, protocol: str, path: str, variant: str) -> NDArray[np.float64]:
        """Return the samples of one combination, all repeats together; none where all trials failed."""
        return self.pooled.get((measurement, protocol, path, variant), np.empty(0))

    def main_row(self, measurement: str, protocol: str, path: str, variant: str) -> pd.Series | None:
        """Return the row of `main` of one combination; None where every trial of it failed."""
        frame = self.main
        rows = frame.loc[
            (frame["measurement"] == measurement)
            & (frame["protocol"] == protocol)
            & (frame["path"] == path)
            & (frame["variant"] == variant)
        ]
        return rows.iloc[0] if len(rows) else None


def view_of(record: RunRecord, samples: pd.DataFrame) -> RunView:
    """Return a run made ready to be shown.

    Args:
        record: the run.
        samples: its raw samples, as `records.samples.sample_table` makes them.
    """
    tidy = tidy_samples(record, samples)
    per_repeat = repeat_statistics(tidy)
    summary = summarise(per_repeat)
    variants = tuple(sorted_variants(record))
    settings = {trial.variant: trial.settings for trial in record.trials}
    return RunView(
        record=record,
        pooled=_pooled(tidy),
        summary=summary,
        main=main_rows(summary),
        verdict=judge(record, per_repeat),
        measurements=_measurements(tidy),
        variants=variants,
        variant_names=variant_labels(record),
        variant_heading=sweep_heading(record),
        variant_looks=variant_looks(variants, settings),
        path_looks=path_looks(tuple(trial_frame(record)["path"].cat.categories)),
    )


def _pooled(tidy: pd.DataFrame) -> dict[Combination, NDArray[np.float64]]:
    groups = tidy.groupby(["measurement", "protocol", "path", "variant"], observed=True, sort=True)["value"]
    return {tuple(map(str, key)): values.to_numpy() for key, values in groups if isinstance(key, tuple)}


def _measurements(tidy: pd.DataFrame) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(
            name=str(name),
            type=str(group["type"].iloc[0]),
            metric=str(group["metric"].iloc[0]),
            protocols=_present(group["protocol"]),
            paths=_present(group["path"]),
        )
        for name, group in tidy.groupby("measurement", observed=True, sort=True)
    )


def _present(column: pd.Series[str]) -> tuple[str, ...]:
    """Return the categories that occur in a column, in their order."""
    return tuple(str(value) for value in column.cat.remove_unused_categories().cat.categories)
