"""How a run's figures change from the smallest to the largest of a swept number, as a table and for others.

Owns which combinations are set against each other; `analysis.trends` owns the arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.analysis.axes import Scaling
from testbed.analysis.statistics import MAIN_STATISTIC, Interval
from testbed.analysis.trends import Series, Trend, factor_between, trend_of
from testbed.records.schema import RAW_VETH
from testbed.report.labels import number_label, path_label
from testbed.report.numbers import quantity, ratio, ratio_range
from testbed.report.view import Measurement, RunView


@dataclass(frozen=True, slots=True)
class Growth:
    """One path of one group: its series at the smallest and the largest number, and the factor between."""

    measurement: Measurement
    protocol: str
    path: str
    group: str
    smallest: float
    largest: float
    below: Series
    above: Series
    factor: Interval


@dataclass(frozen=True, slots=True)
class GrowthRow:
    """A line of a table, as text."""

    path: str
    group: str
    at_smallest: str
    at_largest: str
    factor: str
    trend: Trend


@dataclass(frozen=True, slots=True)
class GrowthTable:
    """All growths of one measurement and protocol; the headings are the numbers that all rows share."""

    title: str
    smallest: str
    largest: str
    rows: tuple[GrowthRow, ...]


def growths_of(view: RunView) -> list[Growth]:
    """Return the growth of every combination of a run that sweeps a number; medians of times, mean rates."""
    if view.scaling is None:
        return []
    found = [
        growth_of(view, measurement, (protocol, path, group))
        for measurement in view.measurements
        for path in measurement.own_paths
        for protocol in measurement.protocols
        for group in view.scaling.groups
        if path != RAW_VETH
    ]
    return [growth for growth in found if growth is not None]


def growth_of(view: RunView, measurement: Measurement, key: tuple[str, str, str]) -> Growth | None:
    """Return the growth of one combination.

    Args:
        view: the run.
        measurement: one of its measurements.
        key: protocol, path and group.

    Returns:
        From the smallest to the largest number that have a value; None where fewer than two have one.
    """
    protocol, path, group = key
    series = {
        number: series_at(view, measurement, key, number)
        for number in (view.scaling.numbers if view.scaling else ())
    }
    known = [number for number, one in series.items() if one in view.values]
    if len(known) < 2:
        return None
    below, above = series[known[0]], series[known[-1]]
    factor = factor_between(view.values, [above], [below])
    return Growth(measurement, protocol, path, group, known[0], known[-1], below, above, factor)


def series_at(view: RunView, measurement: Measurement, key: tuple[str, str, str], number: float) -> Series:
    """Return the series of the main statistic of one combination (protocol, path, group) at a number."""
    protocol, path, group = key
    variants = view.scaling.variants if view.scaling else {}
    statistic = MAIN_STATISTIC[measurement.metric]
    variant = variants.get((group, number), "")
    return Series(measurement.name, measurement.metric, protocol, path, variant, statistic)


def growth_tables(view: RunView) -> list[GrowthTable]:
    """Return a table of growths for every measurement and protocol."""
    if view.scaling is None:
        return []
    tables: dict[tuple[Measurement, str], list[Growth]] = {}
    for growth in growths_of(view):
        tables.setdefault((growth.measurement, growth.protocol), []).append(growth)
    return [_table(view, view.scaling, growths) for growths in tables.values()]


def span_text(scaling: Scaling, growth: Growth) -> str:
    """Return between which numbers a growth lies: "from 1 to 5,000 Services"."""
    largest = number_label(scaling.key, growth.largest)
    return f"from {growth.smallest:,.10g} to {largest}"


def factor_text(factor: Interval) -> str:
    """Return a factor with its interval in brackets."""
    interval = ratio_range(factor.low, factor.high)
    return f"{ratio(factor.mean)} [{interval}]" if interval else f"{ratio(factor.mean)} [no interval]"


def _table(view: RunView, scaling: Scaling, growths: Sequence[Growth]) -> GrowthTable:
    first = growths[0]
    is_shared = len({(growth.smallest, growth.largest) for growth in growths}) == 1
    rows = tuple(
        GrowthRow(
            path=path_label(growth.path),
            group=growth.group,
            at_smallest=_end(
                view, scaling, (growth, growth.below, growth.smallest), names_number=not is_shared
            ),
            at_largest=_end(
                view, scaling, (growth, growth.above, growth.largest), names_number=not is_shared
            ),
            factor=factor_text(growth.factor),
            trend=trend_of(growth.factor),
        )
        for growth in growths
    )
    return GrowthTable(
        title=", ".join(part for part in (first.measurement.title, first.protocol) if part),
        smallest=number_label(scaling.key, first.smallest) if is_shared else "smallest",
        largest=number_label(scaling.key, first.largest) if is_shared else "largest",
        rows=rows,
    )


def _end(view: RunView, scaling: Scaling, end: tuple[Growth, Series, float], *, names_number: bool) -> str:
    """Return one end of a growth: its value, with the number where the heading does not say it."""
    growth, series, number = end
    text = _mean_text(view, growth, series)
    return f"{text} at {number_label(scaling.key, number)}" if names_number else text


def _mean_text(view: RunView, growth: Growth, series: Series) -> str:
    values = view.values[series].values()
    return quantity(sum(values) / len(values), growth.measurement.metric)
