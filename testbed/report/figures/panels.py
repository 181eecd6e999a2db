"""What the families of figures share: labelled rows, round ticks on a log axis, the number of repeats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from testbed.report.figures.facets import Facet, facets_of, line_heading
from testbed.report.labels import path_label
from testbed.report.numbers import count_range, counted, log_ticks
from testbed.report.style import FAINT, GRID, Look
from testbed.report.view import Measurement, RunView

ROW_IN = 0.24
DENSE_ROW_IN = 0.175
DENSE_ABOVE = 24


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a figure: one combination of path and variant at height `y`, counted downwards."""

    path: str
    variant: str
    label: str
    look: Look
    y: float


@dataclass(frozen=True, slots=True)
class RowPlan:
    """The rows that panels side by side share; `headings` names the group of rows below each."""

    rows: tuple[Row, ...]
    headings: tuple[tuple[str, float], ...]
    height_in: float


def plan_rows(view: RunView, paths: Sequence[str], facet: Facet | None = None) -> RowPlan:
    """Return a row for every path; with several variants a heading for it and a row for every variant.

    The plans of all facets of a run have the same rows; a combination that is missing has the variant "".
    """
    lines = facets_of(view)[0].lines if facet is None else facet.lines
    if not view.has_variants:
        rows = [
            Row(path, view.variants[0], path_label(path), view.path_looks[path], float(number))
            for number, path in enumerate(paths)
        ]
        return RowPlan(tuple(rows), (), ROW_IN * (len(rows) + 1))
    rows, headings, y = list[Row](), list[tuple[str, float]](), 0.0
    for path in paths:
        headings.append((path_label(path), y))
        for label, variant in lines:
            y += 1
            rows.append(Row(path, variant, label, view.variant_looks.get(variant, Look(FAINT)), y))
        y += 1.4
    pitch = DENSE_ROW_IN if y > DENSE_ABOVE else ROW_IN
    return RowPlan(tuple(rows), tuple(headings), pitch * (y + 0.5))


def label_rows(axes: Axes, view: RunView, plan: RowPlan, *, is_first: bool) -> None:
    """Set the rows' names beside the first of the panels that share them, and turn the axis downwards."""
    ticks = sorted(
        [*((row.y, row.label, False) for row in plan.rows), *((y, n, True) for n, y in plan.headings)]
    )
    last = max(row.y for row in plan.rows)
    axes.set_ylim(last + 0.7, -0.7)
    axes.yaxis.set_major_locator(FixedLocator([y for y, _, _ in ticks]))
    axes.tick_params(axis="y", length=0, labelleft=is_first)
    if is_first:
        axes.set_yticklabels([label for _, label, _ in ticks])
        for text, (_, _, is_heading) in zip(axes.get_yticklabels(), ticks, strict=True):
            text.set_fontweight("bold" if is_heading else "normal")
        axes.set_ylabel(line_heading(view) if view.has_variants else "")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def note_at_rows(axes: Axes, notes: Iterable[tuple[float, str]]) -> None:
    """Write a short text to the right of a panel at the height of its row."""
    for y, text in notes:
        axes.annotate(
            text,
            (1.0, y),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            ha="left",
            va="center",
            fontsize=8,
            color=FAINT,
            annotation_clip=False,
        )


def use_log_axis(axes: Axes, low: float, high: float, label: str, most: int = 8) -> None:
    """Make the x axis logarithmic over a range of positive values, with ticks at round numbers."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(low, high, most)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel(label)


def widened(values: Sequence[float], factor: float = 1.15) -> tuple[float, float]:
    """Return the range of positive values with some room on either side."""
    positive = [value for value in values if value > 0] or [1.0]
    return min(positive) / factor, max(positive) * factor


def draw_reference(axes: Axes, x: float) -> None:
    """Draw the line that marks raw veth."""
    axes.axvline(x, color=FAINT, linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)


def repeats_of(view: RunView, measurement: Measurement) -> str:
    """Return how many repeats stand behind a figure: "n = 5 repeats"."""
    counts = [int(n) for n in view.main_of(measurement)["n"]]
    noun = "repeat" if set(counts) == {1} else "repeats"
    return f"n = {count_range(counts)} {noun}"


def has_intervals(view: RunView, measurement: Measurement) -> bool:
    """Return whether any mean of a figure has a confidence interval: it takes two repeats."""
    return max(int(n) for n in view.main_of(measurement)["n"]) > 1


def samples_in(view: RunView, measurement: Measurement) -> str:
    """Return how many samples a figure is drawn from."""
    key = (measurement.name, measurement.metric)
    return counted(sum(len(values) for of, values in view.pooled.items() if of[:2] == key), "sample")


def separate_groups(axes: Axes, plan: RowPlan) -> None:
    """Draw a thin line above every group of rows but the first."""
    for _, y in plan.headings[1:]:
        axes.axhline(y - 0.7, color=GRID, linewidth=0.7)
