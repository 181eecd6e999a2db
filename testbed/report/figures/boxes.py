"""Box plots of round-trip and connect times: five percentiles of every path, raw veth beside them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from testbed.report.figures.panels import (
    RowPlan,
    label_rows,
    note_at_rows,
    plan_rows,
    repeats_of,
    samples_in,
    separate_groups,
    use_log_axis,
    widened,
)
from testbed.report.labels import METRIC_LABELS
from testbed.report.numbers import quantity
from testbed.report.style import Drawn, figure_name, new_figure
from testbed.report.view import Measurement, RunView

BOX_PERCENTILES = (1.0, 25.0, 50.0, 75.0, 99.0)
Boxes = dict[float, tuple[float, ...]]
"""Height of a row to the percentiles of its samples."""


def draw_boxes(view: RunView, measurement: Measurement) -> Drawn:
    """Return box plots of a measurement of times, a panel per protocol and a row per path and variant."""
    plan = plan_rows(view, measurement.paths)
    title = f"{measurement.title}: percentiles"
    subtitle = (
        f"box p25 to p75, line at the median, whiskers p1 to p99; {repeats_of(view, measurement)}, pooled"
    )
    figure = new_figure(plan.height_in + 0.75, title, subtitle)
    panels = figure.subplots(1, len(measurement.protocols), sharex=True, squeeze=False)[0]
    boxes = [_boxes(view, measurement, protocol, plan) for protocol in measurement.protocols]
    limits = widened([x for of_panel in boxes for box in of_panel.values() for x in box])
    for number, (axes, protocol) in enumerate(zip(panels, measurement.protocols, strict=True)):
        _draw_rows(axes, plan, boxes[number])
        label_rows(axes, view, plan, is_first=number == 0)
        use_log_axis(axes, *limits, f"{METRIC_LABELS[measurement.metric]} (µs)", most=7)
        notes = [(y, quantity(box[2], measurement.metric)) for y, box in boxes[number].items()]
        note_at_rows(axes, notes)
        axes.set_title(protocol)
    what, samples = METRIC_LABELS[measurement.metric], samples_in(view, measurement)
    caption = f"Percentiles of {what} over {samples}: {subtitle}. The number to the right is the median."
    alt = f"Box plots of {what}. The table has the figures."
    return Drawn(figure_name(measurement.slug, "boxes"), title, caption, alt, figure)


def _boxes(view: RunView, measurement: Measurement, protocol: str, plan: RowPlan) -> Boxes:
    found: Boxes = {}
    for row in plan.rows:
        values = view.samples_of(measurement, protocol, row.path, row.variant)
        if len(values):
            found[row.y] = tuple(float(x) for x in np.percentile(values, BOX_PERCENTILES))
    return found


def _draw_rows(axes: Axes, plan: RowPlan, boxes: Boxes) -> None:
    for row in plan.rows:
        if row.y not in boxes:
            continue
        low, first, middle, third, high = boxes[row.y]
        colour = row.look.colour
        axes.hlines(row.y, low, high, color=colour, linewidth=1.2, zorder=2)
        axes.barh(
            row.y,
            third - first,
            left=first,
            height=0.6,
            facecolor=to_rgba(colour, 0.35),
            edgecolor=colour,
            zorder=3,
        )
        axes.vlines(middle, row.y - 0.3, row.y + 0.3, color=colour, linewidth=2.2, zorder=4)
    note_at_rows(axes, [(row.y, "failed") for row in plan.rows if row.y not in boxes])
    separate_groups(axes, plan)
