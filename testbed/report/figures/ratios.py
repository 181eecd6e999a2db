"""Dots of every path's distance from raw veth, with confidence intervals: the figures to quote."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from testbed.analysis.statistics import MAIN_STATISTIC
from testbed.report.figures.facets import Facet, facet_note, facets_of
from testbed.report.figures.panels import (
    Row,
    draw_reference,
    label_rows,
    note_at_rows,
    plan_rows,
    separate_groups,
    use_log_axis,
    widened,
)
from testbed.report.labels import METRIC_LABELS, STATISTIC_LABELS
from testbed.report.numbers import count_range, ratio
from testbed.report.style import GRID, Drawn, figure_name, new_figure
from testbed.report.view import Measurement, RunView

MOST_COLUMNS = 3
MOST_ROWS_TOGETHER = 14
"""Up to so many rows, all measurements fit into one figure; with more, each has its own."""

FARTHEST = 6.0
"""How many times its mean an interval may reach before the axis stops following it."""

PanelKey = tuple[Measurement, str, Facet]
"""A measurement, one of its protocols, and the variants to show."""


def draw_ratios(view: RunView) -> list[Drawn]:
    """Return the ratios to raw veth: one figure of all measurements, or one each for many rows or facets."""
    facets = facets_of(view)
    panels = [
        (m, protocol, facet)
        for m in view.measurements
        for protocol in m.protocols
        if _has_ratios(view, m, protocol)
        for facet in facets
    ]
    paths = list(dict.fromkeys(path for m, _, _ in panels for path in m.own_paths))
    if not panels:
        return []
    if len(facets) == 1 and len(plan_rows(view, paths).rows) <= MOST_ROWS_TOGETHER:
        return [_draw(view, "ratio-to-raw-veth", "Distance from raw veth", panels)]
    return [
        _draw(
            view,
            figure_name(measurement.slug, "ratio"),
            f"{measurement.title}: distance from raw veth",
            [panel for panel in panels if panel[0] == measurement],
        )
        for measurement in dict.fromkeys(measurement for measurement, _, _ in panels)
    ]


def _draw(view: RunView, name: str, title: str, panels: Sequence[PanelKey]) -> Drawn:
    facets = facets_of(view)
    paths = list(dict.fromkeys(path for m, _, _ in panels for path in m.own_paths))
    columns = len(facets) if len(facets) > 1 else min(len(panels), MOST_COLUMNS)
    rows = -(-len(panels) // columns)
    counts = [int(n) for m, protocol, _ in panels for n in _rows(view, m, protocol)["ratio_n"]]
    line = "; line: 95 % confidence interval" if max(counts, default=0) > 1 else ""
    subtitle = f"geometric mean of n = {count_range(counts)} paired repeats{line}"
    if len(facets) > 1:
        subtitle = f"{_quoted(panels[0][0])}, {subtitle}"
    figure = new_figure(rows * (plan_rows(view, paths).height_in + 0.75), title, subtitle)
    grid = figure.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= len(panels):
            axes.set_visible(False)
            continue
        _draw_panel(axes, view, panels[number], paths, is_first=number % columns == 0)
    own_axes = "one axis for all panels of a protocol" if len(facets) > 1 else "each panel with its own"
    caption = (
        "Each repeat's figure divided by that of raw veth in the same repeat; the dashed line is raw veth. "
        "Times: lower is better. Throughput: higher is better. "
        f"Dot: {subtitle}; one that leaves its panel goes on. Logarithmic axes, {own_axes}."
        f"{facet_note(view, facets)}"
    )
    return Drawn(name, title, caption, "Ratios to raw veth. The table has the figures.", figure)


def _draw_panel(axes: Axes, view: RunView, panel: PanelKey, paths: Sequence[str], *, is_first: bool) -> None:
    measurement, protocol, facet = panel
    plan = plan_rows(view, paths, facet)
    for row in plan.rows:
        found = view.main_row(measurement, protocol, row.path, row.variant)
        _draw_row(axes, row, found)
    label_rows(axes, view, plan, is_first=is_first)
    narrow = bool(facet.title)
    label = "÷ raw veth" if narrow else f"{_quoted(measurement)} ÷ raw veth"
    limits = widened(_extent(view, panel, paths), 1.25)
    use_log_axis(axes, *limits, label, most=4 if narrow else 5)
    draw_reference(axes, 1.0)
    separate_groups(axes, plan)
    of_measurement = "" if narrow else measurement.title
    of_protocol = protocol if not narrow or len(measurement.protocols) > 1 else ""
    axes.set_title(", ".join(part for part in (of_measurement, of_protocol, facet.title) if part))


def _quoted(measurement: Measurement) -> str:
    """Return what is quoted of a measurement: "median time to connect"."""
    statistic = MAIN_STATISTIC[measurement.metric]
    return f"{STATISTIC_LABELS[statistic]} {METRIC_LABELS[measurement.metric]}"


def _draw_row(axes: Axes, row: Row, found: pd.Series | None) -> None:
    value = math.nan if found is None else float(found["ratio"])
    if found is None or not math.isfinite(value):
        note_at_rows(axes, [(row.y, "none")])
        return
    low, high = float(found["ratio_low"]), float(found["ratio_high"])
    axes.axhline(row.y, color=GRID, linewidth=0.7, zorder=1)
    if math.isfinite(low) and math.isfinite(high):
        reach = [[value - low], [high - value]]
        axes.errorbar(value, row.y, xerr=reach, color=row.look.colour, linewidth=1.4, capsize=3.5)
    axes.plot(value, row.y, row.look.marker, color=row.look.colour, markersize=5)
    note_at_rows(axes, [(row.y, ratio(value))])


def _extent(view: RunView, panel: PanelKey, paths: Sequence[str]) -> list[float]:
    """Return what the axis of a panel must hold: its own values, or those of all facets beside it."""
    measurement, protocol, _ = panel
    rows = _rows(view, measurement, protocol)
    rows = rows.loc[rows["path"].isin(paths)]
    middles, lows, highs = (rows[name].to_numpy(dtype=float) for name in ("ratio", "ratio_low", "ratio_high"))
    values = [*middles, *np.maximum(lows, middles / FARTHEST), *np.minimum(highs, middles * FARTHEST)]
    return [1.0, *(float(value) for value in values if math.isfinite(value))]


def _rows(view: RunView, measurement: Measurement, protocol: str) -> pd.DataFrame:
    frame = view.main
    return frame.loc[
        (frame["measurement"] == measurement.name)
        & (frame["protocol"] == protocol)
        & frame["path"].isin(list(measurement.own_paths))
    ]


def _has_ratios(view: RunView, measurement: Measurement, protocol: str) -> bool:
    return bool(_rows(view, measurement, protocol)["ratio"].notna().any())
