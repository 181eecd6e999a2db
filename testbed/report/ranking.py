"""Which dataplane is ahead on which path: places with their uncertainty, ready to be set as tables.

A place is a range: one better than another only where their intervals do not overlap. Owns no interval; it
orders those of the summary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from testbed.analysis.statistics import is_rate
from testbed.report.figures.facets import facets_of, line_heading
from testbed.report.labels import path_label
from testbed.report.numbers import quantity, quantity_interval, ratio, ratio_range
from testbed.report.view import Measurement, RunView

UNTOLD = "cannot be told apart"


@dataclass(frozen=True, slots=True)
class Contender:
    """One dataplane on one path: a value with its interval, NaN where unknown; less is better.

    `text` and `interval` are the value as it is shown.
    """

    name: str
    value: float
    low: float
    high: float
    text: str
    interval: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A contender with the best and the worst place it may have, counted from 1; 0 where it has no value."""

    contender: Contender
    best: int
    worst: int

    @property
    def place(self) -> str:
        """The place in words: "1", "2 to 4"; "" where it has none."""
        if not self.best:
            return ""
        return str(self.best) if self.best == self.worst else f"{self.best} to {self.worst}"


@dataclass(frozen=True, slots=True)
class RankedPath:
    """All contenders on one path, in the order of the run, and who is ahead."""

    path: str
    placed: tuple[Placed, ...]
    ahead: str


@dataclass(frozen=True, slots=True)
class RankingTable:
    """The paths of one measurement and protocol; `quantity` says what its cells hold."""

    title: str
    quantity: str
    names: tuple[str, ...]
    paths: tuple[RankedPath, ...]


def ranking_tables(view: RunView) -> list[RankingTable]:
    """Return a table for every measurement and protocol; none where a number alone, or nothing, is swept.

    Where something is swept beside a number, it is ranked at the largest one.
    """
    if not view.has_variants or (view.scaling is not None and not view.scaling.has_groups):
        return []
    return [
        _table(view, measurement, protocol)
        for measurement in view.measurements
        for protocol in measurement.protocols
    ]


def ranking_heading(view: RunView) -> str:
    """Return what is ranked: "dataplane", or "dataplane with 5,000 Services"."""
    largest = facets_of(view)[-1].title
    return f"{line_heading(view)} with {largest}" if largest else line_heading(view)


def placed(contenders: Sequence[Contender]) -> tuple[Placed, ...]:
    """Return the places of contenders: nobody is ahead of one whose interval overlaps his own.

    A contender without an interval, after a single repeat, may have any place.
    """
    known = [contender for contender in contenders if math.isfinite(contender.value)]
    return tuple(_placed(contender, known) for contender in contenders)


def _placed(one: Contender, known: Sequence[Contender]) -> Placed:
    if one not in known:
        return Placed(one, 0, 0)
    better = sum(other.high < one.low for other in known)
    worse = sum(one.high < other.low for other in known)
    return Placed(one, 1 + better, len(known) - worse)


def who_is_ahead(places: Sequence[Placed]) -> str:
    """Return who has the first place: one name, how many cannot be told apart, or nobody."""
    known = [one for one in places if one.best]
    first = [one.contender.name for one in known if one.best == 1]
    if not known:
        return "nobody: all trials failed"
    if len(known) == 1:
        return f"{first[0]}, alone"
    if len(first) == len(known):
        return UNTOLD
    return first[0] if len(first) == 1 else f"{len(first)} of {len(known)} {UNTOLD}"


def _table(view: RunView, measurement: Measurement, protocol: str) -> RankingTable:
    lines = facets_of(view)[-1].lines
    paths = []
    for path in measurement.own_paths:
        rows = [(label, view.main_row(measurement, protocol, path, variant)) for label, variant in lines]
        places = placed([_contender(measurement, label, row) for label, row in rows])
        paths.append(RankedPath(path_label(path), places, who_is_ahead(places)))
    return RankingTable(
        title=", ".join(part for part in (measurement.title, protocol) if part),
        quantity="ratio to raw veth" if measurement.has_baseline else "median; there is no baseline",
        names=tuple(label for label, _ in lines),
        paths=tuple(paths),
    )


def _contender(measurement: Measurement, name: str, row: pd.Series | None) -> Contender:
    """Return a contender by its ratio to raw veth, or by its value where there is no baseline."""
    if row is None:
        return Contender(name, math.nan, math.nan, math.nan, "failed", "")
    keys = ("ratio", "ratio_low", "ratio_high") if measurement.has_baseline else ("mean", "low", "high")
    value, low, high = (float(row[key]) for key in keys)
    if measurement.has_baseline:
        text, interval = ratio(value), ratio_range(low, high)
    else:
        text = quantity(value, measurement.metric)
        interval = quantity_interval(low, high, value, measurement.metric)
    if is_rate(measurement.metric):
        value, low, high = -value, -high, -low
    return Contender(name, value, low, high, text, interval)
