"""Which variants stand in one panel: all of them, or those of one swept number each.

Twelve lines in a panel cannot be told apart; three in each of four can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.report.labels import last_part, number_label
from testbed.report.numbers import listed
from testbed.report.view import RunView

MOST_FACETS = 4
"""So many panels side by side leave each wide enough for five ticks and a number beside it."""


@dataclass(frozen=True, slots=True)
class Facet:
    """A column of panels: the variants that share a swept number, each by its name beside the others.

    The one facet of a run without such a number has no title, and every variant.
    """

    title: str
    lines: tuple[tuple[str, str], ...]

    @property
    def variants(self) -> tuple[str, ...]:
        """The facet's variants, without their names."""
        return tuple(variant for _, variant in self.lines)


def facets_of(view: RunView) -> list[Facet]:
    """Return a facet for every swept number, beside which something else is swept; else one for all variants.

    Of more numbers than fit, the smallest, the largest, and those spread evenly between them by rank.
    """
    scaling = view.scaling
    if scaling is None or not scaling.has_groups:
        return [Facet("", tuple((view.variant_names[variant], variant) for variant in view.variants))]
    last, shown = len(scaling.numbers) - 1, min(len(scaling.numbers), MOST_FACETS)
    chosen = [scaling.numbers[round(last * place / max(shown - 1, 1))] for place in range(shown)]
    return [
        Facet(
            number_label(scaling.key, number),
            tuple((group, scaling.variants.get((group, number), "")) for group in scaling.groups),
        )
        for number in chosen
    ]


def facet_note(view: RunView, facets: Sequence[Facet]) -> str:
    """Return which numbers a figure shows, as a sentence of its caption; "" where it shows all."""
    left_out = 0 if view.scaling is None or len(facets) < 2 else len(view.scaling.numbers) - len(facets)
    if not left_out:
        return ""
    return f" Shown: {listed([facet.title for facet in facets])}; the tables have all."


def line_heading(view: RunView) -> str:
    """Return what the lines or rows of a facet differ in."""
    if view.scaling is not None and view.scaling.has_groups:
        return last_part(view.scaling.group_key)
    return view.variant_heading
