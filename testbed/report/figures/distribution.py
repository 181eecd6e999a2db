"""Cumulative distributions of round-trip and connect times: the whole of the samples, tail included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from testbed.records.schema import RAW_VETH
from testbed.report.figures.facets import Facet, facet_note, facets_of, line_heading
from testbed.report.figures.panels import repeats_of, samples_in, use_log_axis, widened
from testbed.report.labels import METRIC_LABELS, path_label
from testbed.report.numbers import listed
from testbed.report.style import RAW_COLOUR, Drawn, Look, figure_name, new_figure
from testbed.report.view import Measurement, RunView

FRACTIONS: NDArray[np.float64] = np.concatenate([np.linspace(0.0, 0.98, 197), np.linspace(0.981, 0.999, 19)])
"""Where a curve is sampled: a line of 216 points looks like one of a million and makes a small file."""

MOST_COLUMNS = 3
TICKS = (8, 7, 5, 4)
"""How many ticks fit below a panel, by the number of columns."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The quantiles of one combination at FRACTIONS."""

    label: str
    look: Look
    quantiles: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes and the curves in it."""

    title: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Panels row by row; `row_names` stand beside the first panel of each row, where there are any."""

    panels: tuple[Panel, ...]
    columns: int
    row_names: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows the panels fill."""
        return -(-len(self.panels) // self.columns)


def draw_distribution(view: RunView, measurement: Measurement) -> Drawn:
    """Return the distributions of a measurement of times.

    One variant: a panel per protocol, a line per path. Several: a panel per path and protocol, a line per
    variant, raw veth of all variants in grey. With a number swept beside something else: a row of panels per
    path and protocol, a column per number, a line per value of the other.
    """
    facets = facets_of(view)
    grid = _grid_of(view, measurement, facets)
    title = f"{measurement.title}: distribution"
    what = METRIC_LABELS[measurement.metric]
    pooled = f"{samples_in(view, measurement)} of {repeats_of(view, measurement)}, pooled"
    subtitle = f"{pooled}; the axis ends at the largest p99.9"
    figure = new_figure((3.3 if grid.rows == 1 else 2.0 * grid.rows) + 0.5, title, subtitle)
    _draw_grid(figure, grid, f"{what} (µs)")
    figure.legend(
        handles=_legend(grid.panels),
        loc="outside lower center",
        ncols=_legend_columns(grid.panels),
        title=line_heading(view) if view.has_variants else None,
    )
    caption = (
        f"Share of samples with a {what} of at most x, on a logarithmic axis. Further left is faster; "
        f"a steep line is a steady path. {subtitle[0].upper()}{subtitle[1:]}.{facet_note(view, facets)}"
    )
    return Drawn(figure_name(measurement.slug, "cdf"), title, caption, _alt(measurement), figure)


def _draw_grid(figure: Figure, grid: Grid, xlabel: str) -> None:
    every = figure.subplots(grid.rows, grid.columns, sharex=True, sharey=True, squeeze=False)
    curves = [curve for panel in grid.panels for curve in panel.curves]
    limits = widened([x for c in curves for x in (c.quantiles[2], c.quantiles[-1])], 1.1)
    for number, axes in enumerate(every.flat):
        if number >= len(grid.panels):
            axes.set_visible(False)
            continue
        is_lowest = number + grid.columns >= len(grid.panels)
        _draw_panel(
            axes,
            grid.panels[number],
            limits,
            xlabel if is_lowest else "",
            TICKS[min(grid.columns, len(TICKS)) - 1],
        )
        if number % grid.columns == 0:
            name = grid.row_names[number // grid.columns] if grid.row_names else ""
            axes.set_ylabel(f"{name}\nshare of samples" if name else "share of samples")


def _grid_of(view: RunView, measurement: Measurement, facets: Sequence[Facet]) -> Grid:
    if len(facets) > 1:
        return _grid_by_facet(view, measurement, facets)
    panels = (
        _panels_by_path(view, measurement, facets[0])
        if view.has_variants
        else _panels_by_protocol(view, measurement)
    )
    protocols = len(measurement.protocols)
    columns = protocols if 1 < protocols <= MOST_COLUMNS else min(len(panels), MOST_COLUMNS)
    return Grid(tuple(panels), columns)


def _panels_by_protocol(view: RunView, measurement: Measurement) -> list[Panel]:
    variant = view.variants[0]
    return [
        Panel(protocol, tuple(_curves_of_paths(view, measurement, protocol, variant)))
        for protocol in measurement.protocols
    ]


def _panels_by_path(view: RunView, measurement: Measurement, facet: Facet) -> list[Panel]:
    return [
        Panel(
            " · ".join(part for part in (path_label(path), protocol) if part),
            tuple(_curves_of_lines(view, measurement, (protocol, path), facet)),
        )
        for path in measurement.own_paths
        for protocol in measurement.protocols
    ]


def _grid_by_facet(view: RunView, measurement: Measurement, facets: Sequence[Facet]) -> Grid:
    rows = [(protocol, path) for path in measurement.own_paths for protocol in measurement.protocols]
    panels = [
        Panel(facet.title if number == 0 else "", tuple(_curves_of_lines(view, measurement, row, facet)))
        for number, row in enumerate(rows)
        for facet in facets
    ]
    one_protocol = len(measurement.protocols) == 1
    names = [path_label(path) + ("" if one_protocol else f", {protocol}") for protocol, path in rows]
    return Grid(tuple(panels), len(facets), tuple(names))


def _curves_of_paths(view: RunView, measurement: Measurement, protocol: str, variant: str) -> Iterator[Curve]:
    for path in measurement.paths:
        values = view.samples_of(measurement, protocol, path, variant)
        if len(values):
            yield Curve(path_label(path), view.path_looks[path], np.quantile(values, FRACTIONS))


def _curves_of_lines(
    view: RunView, measurement: Measurement, row: tuple[str, str], facet: Facet
) -> Iterator[Curve]:
    """Yield raw veth of all variants of a facet together, then each variant of it."""
    protocol, path = row
    of_raw = [view.samples_of(measurement, protocol, RAW_VETH, variant) for variant in facet.variants]
    raw = np.concatenate([np.empty(0), *of_raw])
    if path != RAW_VETH and len(raw):
        yield Curve(path_label(RAW_VETH), Look(RAW_COLOUR), np.quantile(raw, FRACTIONS))
    for label, variant in facet.lines:
        values = view.samples_of(measurement, protocol, path, variant)
        if len(values):
            yield Curve(label, view.variant_looks[variant], np.quantile(values, FRACTIONS))


def _draw_panel(axes: Axes, panel: Panel, limits: tuple[float, float], xlabel: str, most_ticks: int) -> None:
    for curve in panel.curves:
        axes.plot(
            curve.quantiles, FRACTIONS, color=curve.look.colour, linestyle=curve.look.dash, linewidth=1.6
        )
    use_log_axis(axes, *limits, xlabel, most=most_ticks)
    axes.tick_params(labelbottom=bool(xlabel))
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.set_title(panel.title)
    axes.grid(visible=True)


def _legend(panels: Sequence[Panel]) -> list[Line2D]:
    looks = {curve.label: curve.look for curve in chain.from_iterable(panel.curves for panel in panels)}
    return [
        Line2D([], [], color=look.colour, linestyle=look.dash, linewidth=1.8, label=label)
        for label, look in looks.items()
    ]


def _legend_columns(panels: Sequence[Panel]) -> int:
    labels = {curve.label for panel in panels for curve in panel.curves}
    longest = max((len(label) for label in labels), default=1)
    return max(1, min(len(labels), 110 // (longest + 7)))


def _alt(measurement: Measurement) -> str:
    paths = listed([path_label(path) for path in measurement.paths])
    what = METRIC_LABELS[measurement.metric]
    return f"Cumulative distributions of {what} for {paths}. The table has the figures."
