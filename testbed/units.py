"""Bit rates, durations, sizes and percentages: parse and print. Owns the notation, not the meaning.

Every parser takes the text (or the bare number) that a YAML file holds and returns a plain number in the unit
that its name says; every printer gives text that its parser reads back to the same number. Printers and
parsers use whole numbers throughout, so nothing is rounded on the way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import NewType

BitsPerSecond = NewType("BitsPerSecond", int)
Nanoseconds = NewType("Nanoseconds", int)
ByteCount = NewType("ByteCount", int)

BIT_RATE_FORMS = "a bit rate such as 500kbit, 10Mbit, 1Gbit or 10M"
DURATION_FORMS = "a duration such as 200us, 5ms, 10s, 1m30s or 1h"
SIZE_FORMS = "a size in bytes such as 64, 64KiB or 10MB"
PERCENT_FORMS = "a percentage from 0% to 100%, such as 0.1%"

_BIT_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BYTE_UNITS = {
    "": 1,
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGT", start=1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", start=1)},
    "KB": 1000,
}
_TIME_UNITS_NS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}

_NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,18})?"
_BIT_RATE = re.compile(rf"({_NUMBER}) ?([kKMGT]?)(?:bit|bit/s|bps)?")
_SIZE = re.compile(rf"({_NUMBER}) ?([A-Za-z]*)")
_DURATION = re.compile(rf"(?:{_NUMBER}(?:h|ms|m|us|s|ns))+")
_DURATION_PART = re.compile(rf"({_NUMBER})(h|ms|m|us|s|ns)")
_PERCENT = re.compile(rf"({_NUMBER}) ?%")


def _exact(number: str, factor: int, text: str, forms: str) -> int:
    value = Fraction(Decimal(number)) * factor
    if value.denominator != 1:
        msg = f"'{text}' is finer than the smallest unit; expected {forms}"
        raise ValueError(msg)
    return value.numerator


def _refuse(text: str, forms: str) -> ValueError:
    return ValueError(f"'{text}' is not {forms}")


def parse_bit_rate(text: str) -> BitsPerSecond:
    """Return bits per second of "10Mbit", "1Gbit", "8bit" or Kubernetes' "10M". Prefixes are decimal.

    Raises:
        ValueError: the text has no such form; the message says which forms there are.
    """
    found = _BIT_RATE.fullmatch(text)
    if not found:
        raise _refuse(text, BIT_RATE_FORMS)
    return BitsPerSecond(_exact(found[1], _BIT_UNITS[found[2]], text, BIT_RATE_FORMS))


def format_bit_rate(rate_bps: int) -> str:
    """Print bits per second with the largest prefix that leaves a whole number: 10000000 is "10Mbit"."""
    return _whole(rate_bps, {"Tbit": 10**12, "Gbit": 10**9, "Mbit": 10**6, "kbit": 10**3, "bit": 1})


def parse_duration(text: str) -> Nanoseconds:
    """Return nanoseconds of "200us", "5ms", "10s", "1m30s" or "1h". A bare "0" needs no unit.

    Raises:
        ValueError: the text has no such form; the message says which forms there are.
    """
    if text == "0":
        return Nanoseconds(0)
    if not _DURATION.fullmatch(text):
        raise _refuse(text, DURATION_FORMS)
    parts = _DURATION_PART.findall(text)
    return Nanoseconds(
        sum(_exact(number, _TIME_UNITS_NS[unit], text, DURATION_FORMS) for number, unit in parts)
    )


def format_duration(duration_ns: int) -> str:
    """Print nanoseconds as Go and Kubernetes do, in whole units: 90 s is "1m30s", 1.5 ms is "1ms500us"."""
    parts, rest = [], duration_ns
    for unit, factor in _TIME_UNITS_NS.items():
        count, rest = divmod(rest, factor)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> ByteCount:
    """Return bytes of "64", "64B", "10MB" (decimal) or "64KiB" (binary).

    Raises:
        ValueError: the text has no such form; the message says which forms there are.
    """
    found = _SIZE.fullmatch(text)
    if not found or found[2] not in _BYTE_UNITS:
        raise _refuse(text, SIZE_FORMS)
    return ByteCount(_exact(found[1], _BYTE_UNITS[found[2]], text, SIZE_FORMS))


def format_size(size_bytes: int) -> str:
    """Print bytes with the largest binary prefix that leaves a whole number: 65536 is "64KiB"."""
    binary = {f"{prefix}iB": 1024**power for prefix, power in zip("TGMK", (4, 3, 2, 1), strict=True)}
    return _whole(size_bytes, {**binary, "": 1})


def parse_percent(text: str) -> float:
    """Return the fraction, 0 to 1, of "0.1%".

    Raises:
        ValueError: the text has no such form, or lies outside 0% to 100%.
    """
    found = _PERCENT.fullmatch(text)
    if not found or Decimal(found[1]) > 100:
        raise _refuse(text, PERCENT_FORMS)
    return float(Decimal(found[1]) / 100)


def format_percent(fraction: float) -> str:
    """Print a fraction as a percentage: 0.001 is "0.1%"."""
    percent = (Decimal(repr(fraction)) * 100).normalize()
    return f"{percent:f}%"


def _whole(value: int, units: Mapping[str, int]) -> str:
    for unit, factor in units.items():
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return f"0{list(units)[-1]}"
