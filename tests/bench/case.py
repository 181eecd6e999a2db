"""What a benchmark case is: figures with units and goals, and how repeated values are summed up. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Readings = Mapping[str, float]
"""Figure name to value, of one repeat."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a repeat brought: its readings, and the datapath type of the cluster ("" without one)."""

    readings: Readings
    datapath_type: str


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit that a figure's median should keep: at most, or, with `is_least`, at least."""

    limit: float
    is_least: bool = False

    def text(self) -> str:
        """The goal as the table shows it."""
        return f"{'>=' if self.is_least else '<='} {self.limit:g}"

    def is_met(self, value: float) -> bool:
        """Whether a value keeps the limit."""
        return value >= self.limit if self.is_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a case measures. Without a goal it is there to explain the others."""

    name: str
    unit: str
    goal: Goal | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A benchmark. `measure` carries out one repeat, given its number from 0.

    It may return readings that no figure names; they are written down with unit "".
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    measure: Callable[[int], Measured]


@dataclass(frozen=True, slots=True)
class Summary:
    """A figure over all repeats. `verdict` is "met", "missed", "not measured", or "" without a goal."""

    figure: Figure
    values: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """How the median compares with the goal."""
        if self.figure.goal is None:
            return ""
        if not self.values:
            return "not measured"
        return "met" if self.figure.goal.is_met(median(self.values)) else "missed"

    def text(self) -> str:
        """Median [least, greatest], three digits that count."""
        if not self.values:
            return "-"
        shown = [_digits(value) for value in (median(self.values), min(self.values), max(self.values))]
        return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def summarise(case: Case, repeats: Sequence[Readings]) -> tuple[Summary, ...]:
    """Return the figures of a case in its order, then whatever else was read, sorted by name."""
    named = {figure.name for figure in case.figures}
    others = sorted({name for readings in repeats for name in readings} - named)
    figures = (*case.figures, *(Figure(name, "") for name in others))
    return tuple(
        Summary(figure, tuple(readings[figure.name] for readings in repeats if figure.name in readings))
        for figure in figures
    )


def _digits(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"
