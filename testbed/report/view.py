"""One run made ready to be shown: frames, statistics, verdict; order, names and colours of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis.axes import Scaling, scaling_of, settings_by_variant
from testbed.analysis.frames import (
    WITHOUT_BASELINE,
    sorted_metrics,
    sorted_variants,
    tidy_samples,
    trial_frame,
)
from testbed.analysis.statistics import main_rows, repeat_statistics, summarise
from testbed.analysis.trends import RepeatValues, repeat_values
from testbed.analysis.verdict import Verdict, judge
from testbed.records.schema import RAW_VETH, RunRecord
from testbed.report.labels import METRIC_LABELS, measurement_label, sweep_heading, variant_labels
from testbed.report.style import Look, path_looks, variant_looks

Combination = tuple[str, ...]
"""Measurement, metric, protocol, path and variant."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement that has samples of a metric: its protocols and paths in the order they are shown.

    `is_alone` is False where the same measurement has samples of another metric too.
    """

    name: str
    type: str
    metric: str
    protocols: tuple[str, ...]
    paths: tuple[str, ...]
    is_alone: bool = True

    @property
    def own_paths(self) -> tuple[str, ...]:
        """The paths without raw veth; raw veth alone where there is no other."""
        return tuple(path for path in self.paths if path != RAW_VETH) or self.paths

    @property
    def has_baseline(self) -> bool:
        """Whether raw veth has a figure for it at all."""
        return self.type not in WITHOUT_BASELINE

    @property
    def title(self) -> str:
        """Its heading, with the metric where it has several."""
        heading = measurement_label(self.name, self.type)
        return heading if self.is_alone else f"{heading}, {METRIC_LABELS[self.metric]}"

    @property
    def slug(self) -> str:
        """What the names of its figures begin with."""
        return self.name if self.is_alone else f"{self.name}-{self.metric.rpartition('_')[0]}"


@dataclass(frozen=True, slots=True)
class RunView:
    """Everything that figures, tables and sentences are made from.

    `pooled` has the samples of every combination, all repeats together; `analysis.statistics` describes
    `summary` and `main`, `analysis.trends` the `values` of single repeats. `variants` has the labels of the
    records in order; `variant_names` their short names. `scaling` is the swept number, if there is one.
    """

    record: RunRecord
    pooled: Mapping[Combination, NDArray[np.float64]]
    summary: pd.DataFrame
    main: pd.DataFrame
    values: RepeatValues
    verdict: Verdict
    measurements: tuple[Measurement, ...]
    variants: tuple[str, ...]
    variant_names: Mapping[str, str]
    variant_heading: str
    variant_looks: Mapping[str, Look]
    path_looks: Mapping[str, Look]
    scaling: Scaling | None = None

    @property
    def has_variants(self) -> bool:
        """Whether there is something to tell apart by variant."""
        return len(self.variants) > 1

    def samples_of(
        self, measurement: Measurement, protocol: str, path: str, variant: str
    ) -> NDArray[np.float64]:
        """Return the samples of one combination, all repeats together; none where all trials failed."""
        key = (measurement.name, measurement.metric, protocol, path, variant)
        return self.pooled.get(key, np.empty(0))

    def rows_of(self, measurement: Measurement) -> pd.DataFrame:
        """Return the rows of `summary` of one measurement."""
        frame = self.summary
        return frame.loc[(frame["measurement"] == measurement.name) & (frame["metric"] == measurement.metric)]

    def main_of(self, measurement: Measurement) -> pd.DataFrame:
        """Return the rows of `main` of one measurement."""
        frame = self.main
        return frame.loc[(frame["measurement"] == measurement.name) & (frame["metric"] == measurement.metric)]

    def main_row(self, measurement: Measurement, protocol: str, path: str, variant: str) -> pd.Series | None:
        """Return the row of `main` of one combination; None where every trial of it failed."""
        frame = self.main_of(measurement)
        rows = frame.loc[
            (frame["protocol"] == protocol) & (frame["path"] == path) & (frame["variant"] == variant)
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
    scaling = scaling_of(record)
    return RunView(
        record=record,
        pooled=_pooled(tidy),
        summary=summary,
        main=main_rows(summary),
        values=repeat_values(per_repeat),
        verdict=judge(record, per_repeat),
        measurements=_measurements(tidy),
        variants=variants,
        variant_names=variant_labels(record),
        variant_heading=sweep_heading(record),
        variant_looks=variant_looks(variants, settings_by_variant(record), scaling),
        path_looks=path_looks(tuple(trial_frame(record)["path"].cat.categories)),
        scaling=scaling,
    )


def _pooled(tidy: pd.DataFrame) -> dict[Combination, NDArray[np.float64]]:
    keys = ["measurement", "metric", "protocol", "path", "variant"]
    groups = tidy.groupby(keys, observed=True, sort=True)["value"]
    return {tuple(map(str, key)): values.to_numpy() for key, values in groups if isinstance(key, tuple)}


def _measurements(tidy: pd.DataFrame) -> tuple[Measurement, ...]:
    found = []
    for name, group in tidy.groupby("measurement", observed=True, sort=True):
        metrics = sorted_metrics(group["metric"].astype(str).unique())
        for metric in metrics:
            rows = group.loc[group["metric"] == metric]
            found.append(
                Measurement(
                    name=str(name),
                    type=str(rows["type"].iloc[0]),
                    metric=metric,
                    protocols=_present(rows["protocol"]),
                    paths=_present(rows["path"]),
                    is_alone=len(metrics) == 1,
                )
            )
    return tuple(found)


def _present(column: pd.Series[str]) -> tuple[str, ...]:
    """Return the categories that occur in a column, in their order."""
    return tuple(str(value) for value in column.cat.remove_unused_categories().cat.categories)
