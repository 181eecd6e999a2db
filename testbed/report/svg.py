"""SVG text made fit to stand in a page beside others: unique ids, scoped style, no fixed size. Pure text."""

from __future__ import annotations

import re
from html import escape

ID = re.compile(r'\bid="([^"]+)"')
REFERENCE = re.compile(r'(xlink:href="#|url\(#)')
METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
OPENING = re.compile(r"<svg\b[^>]*>", re.DOTALL)
VIEW_BOX = re.compile(r'viewBox="([^"]+)"')


def inlined(svg: str, prefix: str, description: str) -> str:
    """Return an SVG file as an element for a page.

    Args:
        svg: what matplotlib writes.
        prefix: put before every id, so that two figures never share one; letters, digits and hyphens.
        description: what a screen reader says instead.

    Raises:
        ValueError: the text has no svg element with a viewBox.
    """
    opening = OPENING.search(svg)
    box = VIEW_BOX.search(opening.group()) if opening else None
    if opening is None or box is None:
        raise ValueError("not an SVG file with a viewBox")
    body = METADATA.sub("", svg[opening.end() :])
    body = ID.sub(rf'id="{prefix}-\1"', body)
    body = REFERENCE.sub(rf"\g<1>{prefix}-", body)
    body = body.replace("*{", f"#{prefix} *{{")
    label = escape(description, quote=True)
    return (
        f'<svg id="{prefix}" role="img" aria-label="{label}" viewBox="{box.group(1)}" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{body.strip()}'
    )
