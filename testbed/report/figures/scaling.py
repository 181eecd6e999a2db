"""Lines over a swept number: how times and rates change with it, a line per dataplane or per path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from numpy.typing import NDArray

from testbed.analysis.axes import Scaling
from testbed.analysis.statistics import is_rate
from testbed.report.figures.facets import line_heading
from testbed.report.figures.panels import has_intervals, repeats_of
from testbed.report.labels import METRIC_LABELS, axis_label, path_label, short_number
from testbed.report.numbers import log_ticks, scale_of
from testbed.report.style import FAINT, Drawn, Look, figure_name, new_figure
from testbed.report.view import Measurement, RunView

QUANTILES = {"p01": "p01", "p50": "p50, the median", "p90": "p90", "p99": "p99"}
"""The quantiles of published figures (kubernetes.io 2025-02-28) and their headings."""

ROW_IN = 1.75
DECADE = 10.0
MOST_TICKS = 6
SPREAD, SPREAD_OF_MANY = 0.025, 0.008
"""Share of the axis by which lines stand beside each other, so that their intervals do."""

FARTHEST = 3.0
"""How many times its mean an interval may reach before the axis stops following it."""

EDGE = 1.25
"""Room above and below the outermost value, as a factor."""

NAME_WIDTH = 22

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a line is about: a path with the variants of one dataplane, by the swept number.

    `shift` is a share of the axis, by which the line stands to the right of the numbers.
    """

    label: str
    look: Look
    path: str
    variants: Mapping[float, str]
    shift: float


@dataclass(frozen=True, slots=True)
class Row:
    """A row of panels, one for each statistic, with the same subjects."""

    measurement: Measurement
    protocol: str
    name: str
    subjects: tuple[Subject, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a panel: mean and interval over repeats at each number, in the metric's unit."""

    subject: Subject
    numbers: Values
    middles: Values
    lows: Values
    highs: Values


def draw_scaling(view: RunView) -> list[Drawn]:
    """Return a figure for every measurement of a run that sweeps a number; none for one that does not.

    A column of panels per quantile. With something else swept too, a row per path and a line per value of
    it; without, a line per path.
    """
    if view.scaling is None:
        return []
    names = dict.fromkeys(measurement.name for measurement in view.measurements)
    return [_draw(view, view.scaling, [m for m in view.measurements if m.name == name]) for name in names]


def _draw(view: RunView, scaling: Scaling, measurements: Sequence[Measurement]) -> Drawn:
    first = measurements[0]
    rows = [row for measurement in measurements for row in _rows(view, scaling, measurement)]
    heading = first.title if first.is_alone else first.title.partition(",")[0]
    title = f"{heading}: over the {axis_label(scaling.key)}"
    line = "; line: 95 % confidence interval (Student's t)" if has_intervals(view, first) else ""
    subtitle = f"mean of {repeats_of(view, first)}{line}"
    figure = new_figure((2.6 if len(rows) == 1 else ROW_IN * len(rows)) + 0.75, title, subtitle)
    _draw_rows(figure, view, scaling, rows)
    looks = {subject.label: subject.look for row in rows for subject in row.subjects}
    figure.legend(
        handles=[_handle(label, look) for label, look in looks.items()],
        loc="outside lower center",
        ncols=max(1, min(len(looks), 110 // (max(map(len, looks), default=1) + 8))),
        title=line_heading(view) if scaling.has_groups else None,
    )
    what = " and ".join(METRIC_LABELS[m.metric] for m in measurements)
    better = "Higher is better." if is_rate(first.metric) else "Lower is better."
    caption = (
        f"{what[0].upper()}{what[1:]} over the {axis_label(scaling.key)}; all panels have one logarithmic "
        f"axis. {better} Dot: {subtitle}; one that leaves its panel goes on. "
        "A level line pays nothing for growth."
    )
    alt = f"Lines of {what} over the {axis_label(scaling.key)}. The tables have the figures."
    return Drawn(figure_name(first.name, "scaling"), title, caption, alt, figure)


def _rows(view: RunView, scaling: Scaling, measurement: Measurement) -> Iterator[Row]:
    for path in measurement.own_paths if scaling.has_groups else ("",):
        for protocol in measurement.protocols:
            name = path_label(path) if measurement.is_alone and path else METRIC_LABELS[measurement.metric]
            several = len(measurement.protocols) > 1
            subjects = _groups(view, scaling, path) if path else _paths(view, scaling, measurement)
            yield Row(measurement, protocol, f"{name}, {protocol}" if several else name, tuple(subjects))


def _groups(view: RunView, scaling: Scaling, path: str) -> Iterator[Subject]:
    for place, group in enumerate(scaling.groups):
        variants = {n: scaling.variants[group, n] for n in scaling.numbers if (group, n) in scaling.variants}
        look = view.variant_looks[next(iter(variants.values()))] if variants else Look(FAINT)
        yield Subject(group, look, path, variants, _shift(scaling, place, len(scaling.groups)))


def _paths(view: RunView, scaling: Scaling, measurement: Measurement) -> Iterator[Subject]:
    variants = {number: variant for (_, number), variant in scaling.variants.items()}
    for place, path in enumerate(measurement.own_paths):
        shift = _shift(scaling, place, len(measurement.own_paths))
        yield Subject(path_label(path), view.path_looks[path], path, variants, shift)


def _shift(scaling: Scaling, place: int, of: int) -> float:
    spread = SPREAD if len(scaling.numbers) <= MOST_TICKS else SPREAD_OF_MANY
    return min(spread, 3 * spread / of) * (place - (of - 1) / 2)


def _statistics(view: RunView, measurements: Sequence[Measurement]) -> dict[str, str]:
    """Return the statistics that the samples tell, each with its heading."""
    if is_rate(measurements[0].metric):
        return {"mean": ""}
    known = {str(name) for m in measurements for name in view.rows_of(m)["statistic"]}
    return {name: heading for name, heading in QUANTILES.items() if name in known}


def _draw_rows(figure: Figure, view: RunView, scaling: Scaling, rows: Sequence[Row]) -> None:
    statistics = _statistics(view, [row.measurement for row in rows])
    every = figure.subplots(len(rows), len(statistics), sharex=True, sharey=True, squeeze=False)
    panels = [[list(_lines(view, row, statistic)) for statistic in statistics] for row in rows]
    low, high = _limits([line for of_row in panels for lines in of_row for line in lines])
    size, unit = scale_of(high / EDGE, rows[0].measurement.metric)
    for number, row in enumerate(rows):
        is_lowest = number == len(rows) - 1
        for axes, heading, lines in zip(every[number], statistics.values(), panels[number], strict=True):
            for line in lines:
                _draw_line(axes, scaling, line, size)
            _set_axes(axes, scaling, (low / size, high / size))
            axes.set_title("" if number else heading)
            axes.set_xlabel(axis_label(scaling.key) if is_lowest else "")
        every[number][0].set_ylabel(fill(f"{row.name} ({unit})", NAME_WIDTH))


def _lines(view: RunView, row: Row, statistic: str) -> Iterator[Line]:
    frame = view.rows_of(row.measurement)
    frame = frame.loc[(frame["protocol"] == row.protocol) & (frame["statistic"] == statistic)]
    for subject in row.subjects:
        own = frame.loc[frame["path"] == subject.path].set_index("variant")
        numbers = [number for number, variant in subject.variants.items() if variant in own.index]
        found = own.loc[[subject.variants[number] for number in numbers]]
        columns = (found[name].to_numpy(dtype=np.float64) for name in ("mean", "low", "high"))
        yield Line(subject, np.array(numbers), *columns)


def _draw_line(axes: Axes, scaling: Scaling, line: Line, size: float) -> None:
    look = line.subject.look
    places = np.array([_shifted(scaling, number, line.subject.shift) for number in line.numbers])
    middles, lows, highs = line.middles / size, line.lows / size, line.highs / size
    axes.plot(
        places, middles, color=look.colour, linestyle=look.dash, marker=look.marker, markersize=4.5,
        linewidth=1.4,
    )  # fmt: skip
    known = np.isfinite(lows) & np.isfinite(highs)
    if known.any():
        reach = [(middles - lows)[known], (highs - middles)[known]]
        axes.errorbar(
            places[known], middles[known], yerr=reach, fmt="none", color=look.colour, elinewidth=1.0,
            capsize=2.0,
        )  # fmt: skip


def _is_wide(scaling: Scaling) -> bool:
    """Whether the numbers span more than a decade."""
    positive = [number for number in scaling.numbers if number > 0]
    return len(positive) > 1 and max(positive) > DECADE * min(positive) and scaling.numbers[0] >= 0


def _shifted(scaling: Scaling, number: float, share: float) -> float:
    low, high = scaling.numbers[0], scaling.numbers[-1]
    if not _is_wide(scaling):
        return number + share * (high - low)
    smallest = min(n for n in scaling.numbers if n > 0)
    if number == 0:
        return smallest * share
    return number * float((high / smallest) ** share)


def _set_axes(axes: Axes, scaling: Scaling, limits: tuple[float, float]) -> None:
    low, high = scaling.numbers[0], scaling.numbers[-1]
    if _is_wide(scaling):
        smallest = min(n for n in scaling.numbers if n > 0)
        edge = (high / smallest) ** 0.09
        axes.set_xscale("symlog", linthresh=smallest / edge) if low == 0 else axes.set_xscale("log")
        axes.set_xlim(-0.2 * smallest if low == 0 else low / edge, high * edge)
    else:
        axes.set_xlim(low - 0.09 * (high - low), high + 0.09 * (high - low))
    axes.xaxis.set_major_locator(FixedLocator(_ticks(scaling)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.set_yscale("log")
    axes.set_ylim(*limits)
    axes.yaxis.set_major_locator(FixedLocator(log_ticks(*limits, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.grid(visible=True)


def _ticks(scaling: Scaling) -> list[float]:
    """Return the swept numbers, or round ones where they are many."""
    numbers = list(scaling.numbers)
    if len(numbers) <= MOST_TICKS:
        return numbers
    if _is_wide(scaling):
        zero = [number for number in numbers[:1] if number == 0]
        return [*zero, *log_ticks(min(n for n in numbers if n > 0), numbers[-1], MOST_TICKS)]
    return [float(tick) for tick in np.linspace(numbers[0], numbers[-1], 5)]


def _limits(lines: Sequence[Line]) -> tuple[float, float]:
    """Return the range of the axis: all means, and intervals as far as they do not stretch it."""
    empty = np.empty(0)
    middles = np.concatenate([empty, *(line.middles for line in lines)])
    lows = np.concatenate([empty, *(np.maximum(line.lows, line.middles / FARTHEST) for line in lines)])
    highs = np.concatenate([empty, *(np.minimum(line.highs, line.middles * FARTHEST) for line in lines)])
    every = np.concatenate([middles, lows, highs])
    shown = every[np.isfinite(every) & (every > 0)]
    return (float(shown.min()) / EDGE, float(shown.max()) * EDGE) if len(shown) else (0.8, 1.25)


def _handle(label: str, look: Look) -> Line2D:
    return Line2D(
        [],
        [],
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker,
        markersize=4.5,
        linewidth=1.6,
        label=label,
    )
