"""What the samples say: a statistic of every repeat, then its mean and interval across repeats. Pure.

The unit of replication is the repeat, a network built afresh: samples of one trial are not independent of
each other, so an interval over them would be far too narrow (Georges, Buytaert and Eeckhout, "Statistically
rigorous Java performance evaluation", OOPSLA 2007, section 3). Samples give one number a repeat; repeats give
the interval.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from testbed.analysis.frames import KEYS
from testbed.records.schema import RAW_VETH

CONFIDENCE = 0.95

PERCENTILES = {"p01": 1.0, "p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}

MAIN_STATISTIC = {
    "rtt_us": "p50",
    "connect_us": "p50",
    "throughput_bps": "mean",
    "programming_us": "p50",
    "first_connection_us": "p50",
}
"""The statistic that tables and ratios quote first, by metric."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its confidence interval over `n` values; the bounds are NaN, unknown, when n is below 2."""

    n: int
    mean: float
    low: float
    high: float


def mean_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Return the mean and its two-sided confidence interval by Student's t with n - 1 degrees of freedom.

    Student, "The probable error of a mean", Biometrika 6 (1908); Jain, "The Art of Computer Systems
    Performance Analysis" (1991), section 13.2. The values must be of one unit; the result has it too.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        return Interval(0, math.nan, math.nan, math.nan)
    mean = float(data.mean())
    if data.size < 2:
        return Interval(1, mean, math.nan, math.nan)
    error = float(data.std(ddof=1)) / math.sqrt(data.size)
    reach = float(stats.t.ppf((1 + confidence) / 2, data.size - 1)) * error
    return Interval(int(data.size), mean, mean - reach, mean + reach)


def _not_below_zero(interval: Interval) -> Interval:
    """Cut an interval of times or rates off at 0, which they cannot pass."""
    return replace(interval, low=max(0.0, interval.low)) if interval.low < 0 else interval


def ratio_interval(values: ArrayLike, references: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Return the geometric mean of paired ratios and its confidence interval, found on the log scale.

    The geometric mean of ratios does not depend on which side is called the reference (Fleming and Wallace,
    "How not to lie with statistics", CACM 29(3), 1986). Pairs with a value that is not positive have no ratio
    and are left out; `n` says how many were used.
    """
    above, below = np.asarray(values, dtype=np.float64), np.asarray(references, dtype=np.float64)
    usable = (above > 0) & (below > 0) & np.isfinite(above) & np.isfinite(below)
    on_log = mean_interval(np.log(above[usable]) - np.log(below[usable]), confidence)
    return Interval(on_log.n, *(math.exp(bound) for bound in (on_log.mean, on_log.low, on_log.high)))


def is_rate(metric: str) -> bool:
    """Whether more is better, and one sample no more than a part of the whole: a rate, not a time."""
    return metric.endswith("_bps")


def percentile_is_known(percent: float, samples: int) -> bool:
    """Whether so many samples tell a percentile: one at least is expected beyond it, on its thinner side."""
    return samples * min(percent, 100.0 - percent) >= 100.0 - 1e-9


def trial_statistics(values: ArrayLike, metric: str) -> dict[str, float]:
    """Return the statistics of one repeat's samples, in the unit of the metric.

    A time gives mean, p01, p50 (the median), p90, p99 and p99.9, as far as there are samples enough;
    throughput gives the mean alone. Percentiles interpolate linearly (Hyndman and Fan 1996, type 7).
    """
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        return {}
    found = {"mean": float(data.mean())}
    if not is_rate(metric):
        known = {name: q for name, q in PERCENTILES.items() if q == 50.0 or percentile_is_known(q, data.size)}
        found |= dict(zip(known, map(float, np.percentile(data, list(known.values()))), strict=True))
    return found


def repeat_statistics(tidy: pd.DataFrame) -> pd.DataFrame:
    """Return one row per combination, repeat and statistic.

    Args:
        tidy: as `frames.tidy_samples` makes it.

    Returns:
        Columns measurement, type, protocol, path, variant, metric, statistic, repeat, samples (how many the
        value stands on), value (in the metric's unit); sorted by all but the last two.
    """
    rows = [
        (*key, name, repeat, len(group), value)
        for (*key, repeat), group in _groups(tidy, [*KEYS, "metric", "repeat"])
        for name, value in trial_statistics(group["value"].to_numpy(), str(key[-1])).items()
    ]
    columns = [*KEYS, "metric", "statistic", "repeat", "samples", "value"]
    return _with_categories(pd.DataFrame(rows, columns=columns), tidy)


def summarise(per_repeat: pd.DataFrame) -> pd.DataFrame:
    """Return one row per combination and statistic, across repeats.

    Args:
        per_repeat: as `repeat_statistics` makes it.

    Returns:
        Columns measurement, type, protocol, path, variant, metric, statistic; n, mean, low, high: the number
        of repeats, the mean of the per-repeat statistic and its 95 % interval, in the metric's unit; samples:
        raw samples of all repeats together; ratio_n, ratio, ratio_low, ratio_high: the geometric mean of the
        ratios to raw veth, each paired within one repeat, measurement, protocol and variant. NaN where
        unknown.
    """
    keys = [*KEYS, "metric", "statistic"]
    paired = _with_reference(per_repeat)
    rows = []
    for key, group in _groups(paired, keys):
        mean = _not_below_zero(mean_interval(group["value"].to_numpy()))
        ratio = ratio_interval(group["value"].to_numpy(), group["reference"].to_numpy())
        rows.append((*key, *_bounds(mean), int(group["samples"].sum()), *_bounds(ratio)))
    columns = [*keys, "n", "mean", "low", "high", "samples", "ratio_n", "ratio", "ratio_low", "ratio_high"]
    return _with_categories(pd.DataFrame(rows, columns=columns), per_repeat)


def main_rows(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a summary to quote first: median times and mean throughput."""
    wanted = summary["metric"].astype(str).map(MAIN_STATISTIC)
    return summary.loc[summary["statistic"].astype(str) == wanted].reset_index(drop=True)


def _with_reference(per_repeat: pd.DataFrame) -> pd.DataFrame:
    """Add the column `reference`: the same statistic of raw veth in the same repeat, or NaN."""
    same = ["measurement", "type", "protocol", "variant", "metric", "statistic", "repeat"]
    raw = per_repeat.loc[per_repeat["path"] == RAW_VETH, [*same, "value"]]
    return per_repeat.merge(raw.rename(columns={"value": "reference"}), on=same, how="left")


def _bounds(interval: Interval) -> tuple[int, float, float, float]:
    return interval.n, interval.mean, interval.low, interval.high


def _groups(frame: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[tuple[Hashable, ...], pd.DataFrame]]:
    """Yield the values of the keys and the rows that have them, in the order of the keys' categories."""
    for key, group in frame.groupby(list(keys), observed=True, sort=True):
        yield key if isinstance(key, tuple) else (key,), group


def _with_categories(frame: pd.DataFrame, source: pd.DataFrame) -> pd.DataFrame:
    """Give the key columns of a frame the ordered categories of the frame it was made from."""
    types = {name: source[name].dtype for name in KEYS}
    return frame.astype(types).sort_values(
        [name for name in [*KEYS, "metric", "statistic", "repeat"] if name in frame],
        kind="stable",
        ignore_index=True,
    )
