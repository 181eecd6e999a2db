"""From a folder of results to its figures, table and page. The composition root of the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.analysis.statistics import is_rate
from testbed.records.atomic import replace_files
from testbed.records.store import read_run
from testbed.report.figures.boxes import draw_boxes
from testbed.report.figures.distribution import draw_distribution
from testbed.report.figures.ratios import draw_ratios
from testbed.report.figures.scaling import draw_scaling
from testbed.report.figures.throughput import draw_throughput
from testbed.report.html import render_page
from testbed.report.style import Drawn, as_png, as_svg, settle, styled
from testbed.report.tables import summary_csv
from testbed.report.topology import draw_topology
from testbed.report.view import Measurement, RunView, view_of

FIGURES_FOLDER = "figures"
PAGE_FILE = "report.html"
SUMMARY_FILE = "summary.csv"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """What a report consists of: the page, the table, and every figure as SVG and as PNG."""

    html: Path
    summary: Path
    figures: tuple[Path, ...]


def build_report(folder: Path) -> ReportFiles:
    """Draw the figures of a run and write them, the table of statistics and the page into its folder.

    The same records give the same bytes. Needs neither root nor the programs that measured.

    Raises:
        RunFailed: the folder holds no whole run.
        EnvironmentProblem: no room or no permission; what an earlier report wrote is then still whole.
    """
    view = view_of(*read_run(folder))
    contents: dict[str, bytes] = {}
    inline: list[tuple[Drawn, str]] = []
    with styled():
        for drawn in draw_figures(view):
            settle(drawn)
            svg = as_svg(drawn)
            contents[f"{FIGURES_FOLDER}/{drawn.name}.svg"] = svg
            contents[f"{FIGURES_FOLDER}/{drawn.name}.png"] = as_png(drawn)
            inline.append((drawn, svg.decode("utf-8")))
    figures = tuple(folder / name for name in sorted(contents))
    contents[SUMMARY_FILE] = summary_csv(view.summary).encode("utf-8")
    contents[PAGE_FILE] = render_page(view, inline).encode("utf-8", errors="replace")
    replace_files(folder, contents)
    return ReportFiles(folder / PAGE_FILE, folder / SUMMARY_FILE, figures)


def draw_figures(view: RunView) -> Iterator[Drawn]:
    """Yield every figure of a run, in the order of the page; to be used inside `style.styled`."""
    if view.record.drawing.nodes:
        yield draw_topology(view.record.drawing)
    yield from draw_scaling(view)
    yield from draw_ratios(view)
    for measurement in view.measurements:
        yield from _draw_measurement(view, measurement)


def _draw_measurement(view: RunView, measurement: Measurement) -> Iterator[Drawn]:
    """Yield the figures of one measurement.

    Where something is swept beside a number, the scaling figure has the rates and the percentiles already,
    and what is left to show is distributions; of few samples it has all.
    """
    is_scaled = view.scaling is not None and view.scaling.has_groups
    if is_rate(measurement.metric):
        if not is_scaled:
            yield draw_throughput(view, measurement)
        return
    has_tail = "p99" in set(view.rows_of(measurement)["statistic"])
    if has_tail or not is_scaled:
        yield draw_distribution(view, measurement)
    if not is_scaled:
        yield draw_boxes(view, measurement)
