"""Cumulative distributions of round-trip and connect times: the whole of the samples, tail included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from testbed.records.schema import RAW_VETH
from testbed.report.figures.panels import repeats_of, samples_in, use_log_axis, widened
from testbed.report.labels import METRIC_LABELS, measurement_label, path_label
from testbed.report.numbers import listed
from testbed.report.style import RAW_COLOUR, Drawn, Look, figure_name, new_figure
from testbed.report.view import Measurement, RunView

FRACTIONS: NDArray[np.float64] = np.concatenate([np.linspace(0.0, 0.98, 197), np.linspace(0.981, 0.999, 19)])
"""Where a curve is sampled: a line of 216 points looks like one of a million and makes a small file."""

MOST_COLUMNS = 3


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


def draw_distribution(view: RunView, measurement: Measurement) -> Drawn:
    """Return the distributions of a measurement of times.

    One variant: a panel per protocol, a line per path. Several: a panel per path and protocol, a line per
    variant, raw veth of all variants in grey.
    """
    panels = (
        _panels_by_path(view, measurement) if view.has_variants else _panels_by_protocol(view, measurement)
    )
    columns, rows = _grid(len(panels), len(measurement.protocols))
    title = f"{measurement_label(measurement.name, measurement.type)}: distribution"
    what = METRIC_LABELS[measurement.metric]
    pooled = f"{samples_in(view, measurement)} of {repeats_of(view, measurement)}, pooled"
    subtitle = f"{pooled}; the axis ends at the largest p99.9"
    figure = new_figure((3.3 if rows == 1 else 2.0 * rows) + 0.5, title, subtitle)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    limits = widened(
        [x for panel in panels for c in panel.curves for x in (c.quantiles[2], c.quantiles[-1])], 1.1
    )
    for number, axes in enumerate(grid.flat):
        if number >= len(panels):
            axes.set_visible(False)
            continue
        is_lowest = number + columns >= len(panels)
        _draw_panel(
            axes, panels[number], limits, f"{what} (µs)" if is_lowest else "", is_left=number % columns == 0
        )
    heading = view.variant_heading if view.has_variants else None
    figure.legend(
        handles=_legend(panels), loc="outside lower center", ncols=_legend_columns(panels), title=heading
    )
    caption = (
        f"Share of samples with a {what} of at most x, on a logarithmic axis. Further left is faster; "
        f"a steep line is a steady path. {subtitle[0].upper()}{subtitle[1:]}."
    )
    return Drawn(figure_name(measurement.name, "cdf"), title, caption, _alt(view, measurement), figure)


def _panels_by_protocol(view: RunView, measurement: Measurement) -> list[Panel]:
    variant = view.variants[0]
    return [
        Panel(
            protocol, tuple(_curves(view, measurement, protocol, [(p, variant) for p in measurement.paths]))
        )
        for protocol in measurement.protocols
    ]


def _panels_by_path(view: RunView, measurement: Measurement) -> list[Panel]:
    panels = []
    for path in measurement.own_paths:
        for protocol in measurement.protocols:
            own = _curves(view, measurement, protocol, [(path, variant) for variant in view.variants])
            raw = _raw_curve(view, measurement, protocol) if path != RAW_VETH else []
            panels.append(Panel(f"{path_label(path)} · {protocol}", (*raw, *own)))
    return panels


def _curves(
    view: RunView, measurement: Measurement, protocol: str, combinations: Sequence[tuple[str, str]]
) -> list[Curve]:
    curves = []
    for path, variant in combinations:
        values = view.samples_of(measurement.name, protocol, path, variant)
        if len(values):
            label = view.variant_names[variant] if view.has_variants else path_label(path)
            look = view.variant_looks[variant] if view.has_variants else view.path_looks[path]
            curves.append(Curve(label, look, np.quantile(values, FRACTIONS)))
    return curves


def _raw_curve(view: RunView, measurement: Measurement, protocol: str) -> list[Curve]:
    of_variants = [
        view.samples_of(measurement.name, protocol, RAW_VETH, variant) for variant in view.variants
    ]
    values = np.concatenate(of_variants)
    if not len(values):
        return []
    return [Curve(path_label(RAW_VETH), Look(RAW_COLOUR), np.quantile(values, FRACTIONS))]


def _draw_panel(axes: Axes, panel: Panel, limits: tuple[float, float], xlabel: str, *, is_left: bool) -> None:
    for curve in panel.curves:
        axes.plot(
            curve.quantiles, FRACTIONS, color=curve.look.colour, linestyle=curve.look.dash, linewidth=1.6
        )
    use_log_axis(axes, *limits, xlabel, most=7)
    axes.tick_params(labelbottom=bool(xlabel))
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.set_title(panel.title)
    axes.grid(visible=True)
    if is_left:
        axes.set_ylabel("share of samples")


def _grid(panels: int, protocols: int) -> tuple[int, int]:
    """Return columns and rows: a column per protocol, or three panels side by side for one protocol."""
    columns = protocols if 1 < protocols <= MOST_COLUMNS else min(panels, MOST_COLUMNS)
    return columns, -(-panels // columns)


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


def _alt(view: RunView, measurement: Measurement) -> str:
    paths = listed([path_label(path) for path in measurement.paths])
    what = METRIC_LABELS[measurement.metric]
    return f"Cumulative distributions of {what} for {paths}. The table has the figures."
