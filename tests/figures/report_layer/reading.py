"""How tests read what the report wrote: the text and ids of a page, and whether a figure can be read."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text


class Page(HTMLParser):
    """Collects ids, references and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "srcset", "data"):
                self.references.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def texts_of(figure: Figure) -> list[Text]:
    shown = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_visible()]
    return [text for text in shown if text.get_text().strip()]


def is_in_view(place: float, axis: Axis) -> bool:
    """Whether a tick lies within its axis; matplotlib keeps ticks beyond it without drawing them."""
    low, high = sorted(axis.get_view_interval())
    return low <= place <= high


def assert_readable(figure: Figure) -> None:
    """No text that is drawn overlaps another or leaves the figure."""
    figure.draw_without_rendering()
    page = figure.bbox
    hidden = {id(tick) for axes in figure.axes if not axes.axison for tick in axes.findobj(Text)} - {
        id(text) for axes in figure.axes for text in axes.texts
    }
    off = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not (label.get_visible() and axes.get_visible() and is_in_view(tick.get_loc(), axis))
    }
    boxes = [
        (text.get_text(), text.get_window_extent())
        for text in texts_of(figure)
        if id(text) not in hidden | off
    ]
    for text, box in boxes:
        assert box.x0 >= page.x0 - 1, text
        assert box.x1 <= page.x1 + 1, text
        assert box.y0 >= page.y0 - 1, text
        assert box.y1 <= page.y1 + 1, text
    for (text, box), (other, beside) in combinations(boxes, 2):
        across = min(box.x1, beside.x1) - max(box.x0, beside.x0)
        along = min(box.y1, beside.y1) - max(box.y0, beside.y0)
        assert across < 1 or along < 1.5, f"{text!r} overlaps {other!r}"
