"""Numbers as a person reads them: three significant digits, with the unit that suits the size. Pure text."""

from __future__ import annotations

import math
from collections.abc import Sequence

UNKNOWN = "unknown"
TIMES = "\N{MULTIPLICATION SIGN}"
SCALES = {
    "us": ((1.0, "µs"), (1e3, "ms"), (1e6, "s")),
    "bps": ((1.0, "bit/s"), (1e3, "kbit/s"), (1e6, "Mbit/s"), (1e9, "Gbit/s"), (1e12, "Tbit/s")),
}
"""Unit suffix of a metric's name to its readable units, each with its size, smallest first."""


def significant(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, thousands parted by commas."""
    if not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    return f"{rounded:,.{max(decimals, 0)}f}"


def scale_of(value: float, metric: str) -> tuple[float, str]:
    """Return size and name of the unit in which a value of a metric has one to three digits before the point.

    Args:
        value: in the unit that the metric's name ends in.
        metric: one of `schema.METRICS`.
    """
    scales = SCALES[metric.rpartition("_")[2]]
    fitting = [scale for scale in scales if abs(value) >= scale[0]]
    return fitting[-1] if fitting else scales[0]


def quantity(value: float, metric: str) -> str:
    """Return a value with its unit: "352 µs", "9.41 Gbit/s"."""
    if not math.isfinite(value):
        return UNKNOWN
    size, unit = scale_of(value, metric)
    return f"{significant(value / size)} {unit}"


def quantity_interval(low: float, high: float, value: float, metric: str) -> str:
    """Return an interval in the unit that its middle value is written in: "340 to 365"; "" when unknown."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    size, _ = scale_of(value, metric)
    return f"{significant(low / size)} to {significant(high / size)}"


def ratio(value: float) -> str:
    """Return a ratio to raw veth: "13.4" and the sign of multiplication."""
    return f"{significant(value)} {TIMES}" if math.isfinite(value) else UNKNOWN


def ratio_range(low: float, high: float) -> str:
    """Return the interval of a ratio: "12.8 to 14.1"; "" when unknown."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{significant(low)} to {significant(high)}"


def duration(seconds: float) -> str:
    """Return a length of time in words: "42 s", "4 min 12 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{significant(seconds, 2)} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun in the right form: "1 node", "3 nodes", "2,000 Services"."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def listed(items: Sequence[str]) -> str:
    """Return items as a person lists them: "a", "a and b", "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def count_range(numbers: Sequence[int]) -> str:
    """Return the one number there is, or the lowest and highest: "5", "4 to 5"; "0" for none."""
    if not numbers:
        return "0"
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def log_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Return round values inside a range of positive ones, fewer and rounder the wider the range."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        ticks = [step * 10.0**exponent for exponent in exponents for step in steps]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= most:
            return inside
    return inside
