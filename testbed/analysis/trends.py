"""Factors between combinations of a run, and what can be said of them: more, level, less, or nothing. Pure.

A factor is found within each repeat, whose variants were measured in one stretch of time, and then over the
repeats, like every other interval of the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import reduce
from math import prod
from typing import NamedTuple

import pandas as pd

from testbed.analysis.statistics import Interval, ratio_interval

LEVEL_MARGIN = 1.25
"""A factor that lies within a quarter of 1 counts as level: raw veth itself may vary by as much between
repeats before the verdict on the run says so (`verdict.RAW_VETH_VARIATION_LIMIT`)."""


class Trend(StrEnum):
    """What an interval of a factor says."""

    GROWS = "grows"
    LEVEL = "stays level"
    FALLS = "falls"
    UNTOLD = "cannot be told"


class Agreement(StrEnum):
    """Whether a run shows what is expected of it."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNTOLD = "cannot be told"


class Series(NamedTuple):
    """A combination and a statistic: what has one value in every repeat."""

    measurement: str
    metric: str
    protocol: str
    path: str
    variant: str
    statistic: str


RepeatValues = Mapping[Series, Mapping[int, float]]
"""Repeat to value, in the metric's unit, of every series."""


def repeat_values(per_repeat: pd.DataFrame) -> RepeatValues:
    """Return the values of a table that `statistics.repeat_statistics` made, by series and repeat."""
    found: dict[Series, dict[int, float]] = {}
    columns = [*Series._fields, "repeat", "value"]
    for *key, repeat, value in per_repeat[columns].itertuples(index=False, name=None):
        found.setdefault(Series(*map(str, key)), {})[int(repeat)] = float(value)
    return found


def factor_between(values: RepeatValues, above: Sequence[Series], below: Sequence[Series]) -> Interval:
    """Return the product of some series over the product of others, with its interval over repeats.

    One above and one below is a plain factor; two and two compare the growth of one thing with that of
    another. Only repeats that have all of them count.
    """
    of_each = [values.get(series, {}) for series in (*above, *below)]
    repeats = sorted(reduce(lambda found, other: found & other.keys(), of_each, set(of_each[0])))
    return ratio_interval(
        [prod(values[series][repeat] for series in above) for repeat in repeats],
        [prod(values[series][repeat] for series in below) for repeat in repeats],
    )


def trend_of(factor: Interval) -> Trend:
    """Return what an interval of a factor says; one that is unknown says nothing."""
    if _is_level(factor):
        return Trend.LEVEL
    if factor.low > 1:
        return Trend.GROWS
    return Trend.FALLS if factor.high < 1 else Trend.UNTOLD


def agreement_with(expected: Trend, factor: Interval) -> Agreement:
    """Return whether a factor shows growth, or a level, as it is expected to.

    Growth is shown by an interval above 1, and refuted by one below 1 or within the margin of 1. A level is
    shown by an interval within the margin of 1, and refuted by one that lies outside of it. All else tells
    nothing.

    Raises:
        ValueError: neither growth nor a level is expected.
    """
    if expected is Trend.GROWS:
        shown, refuted = factor.low > 1 and not _is_level(factor), factor.high < 1 or _is_level(factor)
    elif expected is Trend.LEVEL:
        shown, refuted = _is_level(factor), factor.low > LEVEL_MARGIN or factor.high < 1 / LEVEL_MARGIN
    else:
        raise ValueError(f"nothing is published that {expected}")
    if shown:
        return Agreement.AGREES
    return Agreement.DISAGREES if refuted else Agreement.UNTOLD


def _is_level(factor: Interval) -> bool:
    return factor.low >= 1 / LEVEL_MARGIN and factor.high <= LEVEL_MARGIN
