"""Dots of every path's distance from raw veth, with confidence intervals: the figures to quote."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from testbed.analysis.statistics import MAIN_STATISTIC
from testbed.report.figures.panels import (
    RowPlan,
    draw_reference,
    label_rows,
    note_at_rows,
    plan_rows,
    separate_groups,
    use_log_axis,
    widened,
)
from testbed.report.labels import METRIC_LABELS, STATISTIC_LABELS, measurement_label
from testbed.report.numbers import count_range, ratio
from testbed.report.style import GRID, Drawn, figure_name, new_figure
from testbed.report.view import Measurement, RunView

MOST_COLUMNS = 3
MOST_ROWS_TOGETHER = 14
"""Up to so many rows, all measurements fit into one figure; with more, each has its own."""

PanelKey = tuple[Measurement, str]
"""A measurement and one of its protocols."""


def draw_ratios(view: RunView) -> list[Drawn]:
    """Return the ratios to raw veth: one figure of all measurements, or one each for many rows."""
    panels = [
        (m, protocol) for m in view.measurements for protocol in m.protocols if _has_ratios(view, m, protocol)
    ]
    paths = list(dict.fromkeys(path for m, _ in panels for path in m.own_paths))
    if not panels:
        return []
    if len(plan_rows(view, paths).rows) <= MOST_ROWS_TOGETHER:
        return [_draw(view, "ratio-to-raw-veth", "Distance from raw veth", panels, paths)]
    return [
        _draw(
            view,
            figure_name(measurement.name, "ratio"),
            f"{measurement_label(measurement.name, measurement.type)}: distance from raw veth",
            [panel for panel in panels if panel[0] == measurement],
            measurement.own_paths,
        )
        for measurement in dict.fromkeys(measurement for measurement, _ in panels)
    ]


def _draw(view: RunView, name: str, title: str, panels: Sequence[PanelKey], paths: Sequence[str]) -> Drawn:
    plan = plan_rows(view, paths)
    columns = min(len(panels), MOST_COLUMNS)
    rows = -(-len(panels) // columns)
    counts = [int(n) for m, protocol in panels for n in _rows(view, m, protocol)["ratio_n"]]
    subtitle = f"geometric mean of n = {count_range(counts)} paired repeats; line: 95 % confidence interval"
    figure = new_figure(rows * (plan.height_in + 0.75), title, subtitle)
    grid = figure.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= len(panels):
            axes.set_visible(False)
            continue
        _draw_panel(axes, view, panels[number], plan, is_first=number % columns == 0)
    caption = (
        "Each repeat's figure divided by that of raw veth in the same repeat; the dashed line is raw veth. "
        "Times: lower is better. Throughput: higher is better. "
        f"Dot: {subtitle}. Logarithmic axes, each panel with its own."
    )
    return Drawn(name, title, caption, "Ratios to raw veth. The table has the figures.", figure)


def _draw_panel(axes: Axes, view: RunView, panel: PanelKey, plan: RowPlan, *, is_first: bool) -> None:
    measurement, protocol = panel
    extent = [1.0]
    for row in plan.rows:
        found = view.main_row(measurement.name, protocol, row.path, row.variant)
        value = math.nan if found is None else float(found["ratio"])
        if found is None or not math.isfinite(value):
            note_at_rows(axes, [(row.y, "none")])
            continue
        bounds = [float(found["ratio_low"]), float(found["ratio_high"])]
        axes.axhline(row.y, color=GRID, linewidth=0.7, zorder=1)
        if all(math.isfinite(bound) for bound in bounds):
            reach = [[value - bounds[0]], [bounds[1] - value]]
            axes.errorbar(value, row.y, xerr=reach, color=row.look.colour, linewidth=1.4, capsize=3.5)
            extent += bounds
        axes.plot(value, row.y, "o", color=row.look.colour, markersize=5)
        extent.append(value)
        note_at_rows(axes, [(row.y, ratio(value))])
    label_rows(axes, view, plan, is_first=is_first)
    statistic = MAIN_STATISTIC[measurement.metric]
    what = f"{STATISTIC_LABELS[statistic]} {METRIC_LABELS[measurement.metric]}"
    use_log_axis(axes, *widened(extent, 1.25), f"{what} ÷ raw veth", most=5)
    draw_reference(axes, 1.0)
    separate_groups(axes, plan)
    axes.set_title(f"{measurement_label(measurement.name, measurement.type)}, {protocol}")


def _rows(view: RunView, measurement: Measurement, protocol: str) -> pd.DataFrame:
    frame = view.main
    return frame.loc[
        (frame["measurement"] == measurement.name)
        & (frame["protocol"] == protocol)
        & frame["path"].isin(list(measurement.own_paths))
    ]


def _has_ratios(view: RunView, measurement: Measurement, protocol: str) -> bool:
    return bool(_rows(view, measurement, protocol)["ratio"].notna().any())
