"""How every figure looks, and how it is written: colours, type, size, deterministic SVG and PNG."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.typing import LineStyleType, RcKeyType

from testbed.analysis.axes import Scaling
from testbed.records.schema import RAW_VETH

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours that people with any common colour blindness tell apart (Okabe and Ito, "Color Universal Design",
2008), without the yellow and black that white paper and raw veth take away."""

LINE_COLOURS = (*OKABE_ITO[:4], "#332288", "#663300")
"""The same without the two that are too pale for a thin line; indigo and brown stand in for them, chosen for
their distance from the others to eyes of every kind. Each has a contrast of 3 to white or more."""

RAW_COLOUR = "#4D4D4D"
INK, FAINT, GRID = "#222222", "#666666", "#DDDDDD"
DASHES: tuple[LineStyleType, ...] = ("solid", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))

MARKERS = ("o", "s", "^", "D", "v", "P")

PATH_COLOURS = {
    RAW_VETH: RAW_COLOUR,
    "pod-same-node": "#56B4E9",
    "pod-other-node": "#0072B2",
    "clusterip-same-node": "#E69F00",
    "clusterip-other-node": "#D55E00",
    "hairpin": "#CC79A7",
    "first-service": "#009E73",
    "last-service": "#332288",
    "new-service": "#663300",
}
"""The two ways to name a Pod are two hues; the farther path is the darker one."""

PNG_DPI = 150
WIDTH_IN = 9.0
HEADER_IN = 0.62
MARGIN_IN = 0.1

RC: dict[RcKeyType, object] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "kubernetes-network-testbed",
    "path.simplify": True,
}


@dataclass(frozen=True, slots=True)
class Look:
    """Colour, dash pattern and marker of one line or bar."""

    colour: str
    dash: LineStyleType = "solid"
    marker: str = "o"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A finished figure. `name` is its file name without ending; `alt` stands in where it cannot be seen."""

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure


def path_looks(paths: Sequence[str]) -> dict[str, Look]:
    """Return a look for every path; paths of the experiment's own take the remaining colours in turn."""
    own = [path for path in paths if path not in PATH_COLOURS]
    looks = {
        path: Look(colour, marker=MARKERS[number % len(MARKERS)])
        for number, (path, colour) in enumerate(PATH_COLOURS.items())
        if path in paths
    }
    return looks | {path: _nth_look(number) for number, path in enumerate(own)}


def variant_looks(
    variants: Sequence[str], settings: Mapping[str, Mapping[str, object]], scaling: Scaling | None = None
) -> dict[str, Look]:
    """Return a look for every variant: a scale of colours for one swept number, else distinct ones.

    Where something else is swept beside a number, variants that differ in the number alone look the same.
    """
    if scaling is not None and scaling.has_groups:
        of_groups = {group: _nth_look(number) for number, group in enumerate(scaling.groups)}
        swept = {variant: of_groups[group] for (group, _), variant in scaling.variants.items()}
        return {variant: swept.get(variant, Look(FAINT)) for variant in variants}
    numbers = [list(settings.get(variant, {}).values()) for variant in variants]
    if len(variants) > 3 and all(len(values) == 1 and _is_number(values[0]) for values in numbers):
        scale = mpl.colormaps["viridis"]
        steps = [0.88 * index / (len(variants) - 1) for index in range(len(variants))]
        return {v: Look(mpl.colors.to_hex(scale(step))) for v, step in zip(variants, steps, strict=True)}
    return {variant: _nth_look(number) for number, variant in enumerate(variants)}


def _nth_look(number: int) -> Look:
    """Return the look of the n-th line; every other is dashed, so that one below it can be seen."""
    dash = DASHES[(number % 2 + number // len(LINE_COLOURS) * 2) % len(DASHES)]
    return Look(LINE_COLOURS[number % len(LINE_COLOURS)], dash, MARKERS[number % len(MARKERS)])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def new_figure(height_in: float, title: str, subtitle: str, width_in: float = WIDTH_IN) -> Figure:
    """Return an empty figure with its heading; `height_in` is what is left below the heading."""
    total = height_in + HEADER_IN
    engine = ConstrainedLayoutEngine(
        rect=(0, 0, 1, height_in / total), w_pad=0.08, h_pad=0.06, wspace=0.03, hspace=0.04
    )
    figure = Figure(figsize=(width_in, total), layout=engine)
    FigureCanvasAgg(figure)
    left = MARGIN_IN / width_in
    figure.text(left, 1 - 0.08 / total, title, fontsize=11, fontweight="bold", ha="left", va="top")
    figure.text(left, 1 - 0.31 / total, subtitle, fontsize=8.5, color=FAINT, ha="left", va="top")
    return figure


def figure_name(measurement: str, family: str) -> str:
    """Return the file name, without ending, of a figure of a measurement."""
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', measurement)}-{family}"


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn and written; outside it nothing is changed."""
    return mpl.rc_context(RC)


def settle(drawn: Drawn) -> None:
    """Fix where everything in a figure stands, once for both files: laying out costs more than drawing."""
    drawn.figure.draw_without_rendering()
    drawn.figure.set_layout_engine("none")


def as_svg(drawn: Drawn) -> bytes:
    """Return a settled figure as SVG; the same figure gives the same bytes.

    The canvas prints directly: `savefig` would draw everything once more beforehand, to lay it out.
    """
    with mpl.rc_context({**RC, "svg.hashsalt": drawn.name}):
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": None, "Title": drawn.title}
        FigureCanvasSVG(drawn.figure).print_svg(buffer, metadata=metadata)  # type: ignore[no-untyped-call]  # matplotlib has no types here
    return buffer.getvalue()


def as_png(drawn: Drawn) -> bytes:
    """Return a settled figure as PNG of 150 dots an inch; the same figure gives the same bytes."""
    with styled():
        buffer = io.BytesIO()
        drawn.figure.set_dpi(PNG_DPI)
        metadata = {"Software": None, "Title": drawn.title}
        FigureCanvasAgg(drawn.figure).print_png(buffer, metadata=metadata)  # type: ignore[no-untyped-call]  # nor here
    return buffer.getvalue()
