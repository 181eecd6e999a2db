"""Throughput bars: the mean of the repeats with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from testbed.records.schema import RAW_VETH
from testbed.report.figures.panels import (
    RowPlan,
    has_intervals,
    label_rows,
    note_at_rows,
    plan_rows,
    repeats_of,
    separate_groups,
)
from testbed.report.numbers import quantity, scale_of
from testbed.report.style import INK, Drawn, figure_name, new_figure
from testbed.report.view import Measurement, RunView


def draw_throughput(view: RunView, measurement: Measurement) -> Drawn:
    """Return the bars of a throughput measurement, a panel per protocol and a row per path and variant.

    With several variants raw veth is left to a sentence: its bars would make all others short.
    """
    paths = measurement.own_paths if view.has_variants else measurement.paths
    plan = plan_rows(view, paths)
    title = f"{measurement.title}: mean rate"
    whisker = "; whisker: 95 % confidence interval (Student's t)" if has_intervals(view, measurement) else ""
    subtitle = f"bar: mean of {repeats_of(view, measurement)}{whisker}"
    figure = new_figure(plan.height_in + 0.75, title, subtitle)
    panels = figure.subplots(1, len(measurement.protocols), squeeze=False)[0]
    rows = view.main_of(measurement)
    rows = rows.loc[rows["path"].isin(list(paths))]
    size, unit = scale_of(float(rows["mean"].max()), measurement.metric)
    for number, (axes, protocol) in enumerate(zip(panels, measurement.protocols, strict=True)):
        _draw_bars(axes, view, measurement, protocol, plan, size)
        label_rows(axes, view, plan, is_first=number == 0)
        axes.set_xlabel(f"payload received ({unit})")
        axes.set_title(protocol)
    caption = (
        f"Payload received per second. {subtitle[0].upper()}{subtitle[1:]}. Longer is better."
        f"{_raw_veth_note(view, measurement, paths)}"
    )
    alt = "Bars of throughput. The table has the figures."
    return Drawn(figure_name(measurement.slug, "bars"), title, caption, alt, figure)


def _raw_veth_note(view: RunView, measurement: Measurement, shown: Sequence[str]) -> str:
    """Return what raw veth received, as a sentence; "" where the figure shows it."""
    rows = view.main_of(measurement)
    rates = rows.loc[rows["path"] == RAW_VETH, "mean"]
    if RAW_VETH in shown or rates.empty:
        return ""
    low, high = (quantity(float(rate), measurement.metric) for rate in (rates.min(), rates.max()))
    return f" Not drawn: raw veth, {low if low == high else f'{low} to {high}'}."


def _draw_bars(
    axes: Axes, view: RunView, measurement: Measurement, protocol: str, plan: RowPlan, size: float
) -> None:
    farthest = 0.0
    for row in plan.rows:
        found = view.main_row(measurement, protocol, row.path, row.variant)
        if found is None:
            note_at_rows(axes, [(row.y, "failed")])
            continue
        mean, low, high = (float(found[name]) / size for name in ("mean", "low", "high"))
        axes.barh(row.y, mean, height=0.62, color=row.look.colour, zorder=2)
        if math.isfinite(low):
            axes.errorbar(
                mean,
                row.y,
                xerr=[[mean - max(low, 0.0)], [high - mean]],
                color=INK,
                linewidth=1.1,
                capsize=2.5,
                zorder=3,
            )
        farthest = max(farthest, mean, high if math.isfinite(high) else 0.0)
        note_at_rows(axes, [(row.y, quantity(float(found["mean"]), measurement.metric))])
    axes.set_xlim(0, farthest * 1.03 or 1.0)
    separate_groups(axes, plan)
