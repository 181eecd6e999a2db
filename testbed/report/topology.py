"""The drawing of the topology: tiers of switches, nodes, and the Pods of each node.

Few nodes stand side by side with their Pods listed below. Many nodes stand one below the other, tiers to
their left and Pods to their right, so that names stay readable whatever the number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.typing import LineStyleType

from testbed.records.schema import TopologyDrawing
from testbed.report.layers import Place, place_parts
from testbed.report.numbers import counted, listed
from testbed.report.style import DASHES, FAINT, INK, WIDTH_IN, Drawn, new_figure

MOST_SIDE_BY_SIDE = 6
PODS_LISTED = 6
CHARACTERS_BELOW = 96
CHARACTERS_BESIDE = 58
"""How many characters of Pod names fit below all nodes together, and beside one node."""

LINK_COLOURS = ("#777777", "#0072B2", "#D55E00", "#009E73")
FILLS = {"router": "#FBE7D3", "switch": "#EDEDED", "node": "#DCEBF7"}
TIER_IN = 0.95
ROW_IN = 0.34
POD_LINE_IN = 0.17
LEGEND_IN = 0.3

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Canvas:
    """The drawing's parts in inches from the lower left corner, and whether nodes stand side by side."""

    points: Mapping[str, Point]
    height_in: float
    is_upright: bool


def draw_topology(drawing: TopologyDrawing) -> Drawn:
    """Return the drawing of a topology."""
    canvas = _canvas(drawing)
    figure = new_figure(canvas.height_in + LEGEND_IN, "Topology", _subtitle(drawing))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH_IN)
    axes.set_ylim(0, canvas.height_in)
    looks = _link_looks(drawing)
    _draw_links(axes, drawing, canvas, looks)
    _draw_parts(axes, drawing, canvas)
    for node in drawing.nodes:
        _list_pods(axes, drawing.pods.get(node, ()), canvas, canvas.points[node], len(drawing.nodes))
    figure.legend(handles=_legend(drawing, looks), loc="outside lower center", ncols=4)
    caption = f"The underlay and the Pods on it: {_subtitle(drawing)}."
    alt = f"Topology with nodes {listed(drawing.nodes)}."
    return Drawn("topology", "Topology", caption, alt, figure)


def _subtitle(drawing: TopologyDrawing) -> str:
    counts = [
        counted(len(drawing.routers), "router"),
        counted(len(drawing.switches), "switch", "switches"),
        counted(len(drawing.nodes), "node"),
        counted(sum(len(pods) for pods in drawing.pods.values()), "Pod"),
    ]
    return listed([text for text in counts if not text.startswith("0 ")]) or "nothing to draw"


def _canvas(drawing: TopologyDrawing) -> Canvas:
    places = place_parts(drawing)
    count = len(drawing.nodes)
    tiers = max((place.tier for place in places.values()), default=0)
    low = min((place.across for place in places.values()), default=0.0)
    span = max((place.across for place in places.values()), default=0.0) - low
    if count <= MOST_SIDE_BY_SIDE:
        lines = max((min(len(pods), PODS_LISTED + 1) for pods in drawing.pods.values()), default=0)
        floor = POD_LINE_IN * lines + 0.45
        step = (WIDTH_IN - 0.4) / (span + 1)
        points = {
            name: (0.2 + step * (place.across - low + 0.5), floor + TIER_IN * place.tier)
            for name, place in places.items()
        }
        return Canvas(points, floor + TIER_IN * tiers + 0.22, is_upright=True)
    height = ROW_IN * (span + 1) + 0.2
    step = min(1.5, 3.2 / max(tiers, 1))
    points = {name: _lying(place, tiers, step, height, low) for name, place in places.items()}
    return Canvas(points, height, is_upright=False)


def _lying(place: Place, tiers: int, step: float, height: float, low: float) -> Point:
    return 0.7 + step * (tiers - place.tier), height - 0.1 - ROW_IN * (place.across - low + 0.5)


def _link_looks(drawing: TopologyDrawing) -> dict[str, tuple[str, LineStyleType]]:
    """Return colour and dash of every distinct shape of link, for a legend instead of labels that collide."""
    labels = sorted({link.label for link in drawing.links})
    return {
        label: (LINK_COLOURS[number % len(LINK_COLOURS)], DASHES[number // len(LINK_COLOURS) % len(DASHES)])
        for number, label in enumerate(labels)
    }


def _draw_links(
    axes: Axes, drawing: TopologyDrawing, canvas: Canvas, looks: Mapping[str, tuple[str, LineStyleType]]
) -> None:
    for link in drawing.links:
        if link.a in canvas.points and link.b in canvas.points:
            (ax, ay), (bx, by) = canvas.points[link.a], canvas.points[link.b]
            colour, dash = looks[link.label]
            axes.plot([ax, bx], [ay, by], color=colour, linestyle=dash, linewidth=1.2, zorder=1)


def _draw_parts(axes: Axes, drawing: TopologyDrawing, canvas: Canvas) -> None:
    for kind, names in _kinds(drawing).items():
        box = {"boxstyle": "round,pad=0.35", "facecolor": FILLS[kind], "edgecolor": FAINT, "linewidth": 0.9}
        for name in names:
            x, y = canvas.points[name]
            axes.text(
                x,
                y,
                _shortened(name, 14),
                ha="center",
                va="center",
                fontsize=8,
                fontweight="bold" if kind == "node" else "normal",
                bbox=box,
                zorder=3,
            )


def _kinds(drawing: TopologyDrawing) -> dict[str, Sequence[str]]:
    kinds = {"router": drawing.routers, "switch": drawing.switches, "node": drawing.nodes}
    return {kind: names for kind, names in kinds.items() if names}


def _list_pods(axes: Axes, pods: Sequence[str], canvas: Canvas, at: Point, nodes: int) -> None:
    x, y = at
    if not canvas.is_upright:
        axes.text(x + 0.55, y, _pods_beside(pods), ha="left", va="center", fontsize=7.5, color=INK)
        return
    most = CHARACTERS_BELOW // max(nodes, 1) if nodes > 2 else 40
    names = [_shortened(_without_namespace(pod), most) for pod in pods[:PODS_LISTED]]
    more = [f"+{len(pods) - PODS_LISTED} more"] if len(pods) > PODS_LISTED else []
    for number, name in enumerate([*names, *more]):
        axes.text(x, y - 0.27 - POD_LINE_IN * number, name, ha="center", va="top", fontsize=7.5, color=INK)


def _pods_beside(pods: Sequence[str]) -> str:
    names = [_without_namespace(pod) for pod in pods]
    shown: list[str] = []
    while len(shown) < len(names) and len(", ".join([*shown, names[len(shown)]])) <= CHARACTERS_BESIDE:
        shown.append(names[len(shown)])
    rest = len(names) - len(shown)
    return ", ".join([*shown, *([f"+{rest} more"] if rest and shown else [])]) or counted(rest, "Pod")


def _without_namespace(pod: str) -> str:
    return pod.rpartition("/")[2]


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _legend(drawing: TopologyDrawing, looks: Mapping[str, tuple[str, LineStyleType]]) -> list[Patch | Line2D]:
    parts: list[Patch | Line2D] = [
        Patch(facecolor=FILLS[kind], edgecolor=FAINT, label=kind) for kind in _kinds(drawing)
    ]
    links = [
        Line2D([], [], color=colour, linestyle=dash, linewidth=1.6, label=label or "link, not shaped")
        for label, (colour, dash) in looks.items()
    ]
    return [*parts, *links]
