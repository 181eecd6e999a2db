import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.report.numbers import (
    count_range,
    counted,
    duration,
    listed,
    log_ticks,
    quantity,
    quantity_interval,
    ratio,
    significant,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (26.04, "26.0"),
        (352.4, "352"),
        (999.7, "1,000"),
        (12345.0, "12,300"),
        (0.06774, "0.0677"),
        (-1.5, "-1.50"),
        (math.nan, "unknown"),
        (math.inf, "unknown"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert significant(value) == text


@given(st.floats(1e-6, 1e12))
@settings(max_examples=50, deadline=None)
def test_rounding_is_never_off_by_more_than_half_a_percent(value: float) -> None:
    assert float(significant(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.5, "rtt_us", "0.500 µs"),
        (352.4, "rtt_us", "352 µs"),
        (1240.0, "connect_us", "1.24 ms"),
        (2.5e6, "rtt_us", "2.50 s"),
        (9.414e9, "throughput_bps", "9.41 Gbit/s"),
        (0.0, "throughput_bps", "0 bit/s"),
        (math.nan, "rtt_us", "unknown"),
    ],
)
def test_a_quantity_has_the_unit_that_suits_it(value: float, metric: str, text: str) -> None:
    assert quantity(value, metric) == text


def test_an_interval_is_in_the_unit_of_its_middle() -> None:
    assert quantity_interval(990.0, 1510.0, 1250.0, "rtt_us") == "0.990 to 1.51"
    assert quantity_interval(math.nan, math.nan, 1250.0, "rtt_us") == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.4, "1.4 s"),
        (42.0, "42 s"),
        (252.0, "4 min 12 s"),
        (120.0, "2 min"),
        (7500.0, "2 h 5 min"),
        (3600.0, "1 h"),
    ],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_words_for_numbers() -> None:
    assert (counted(1, "switch", "switches"), counted(2000, "Pod")) == ("1 switch", "2,000 Pods")
    assert (listed([]), listed(["a"]), listed(["a", "b", "c"])) == ("", "a", "a, b and c")
    assert (count_range([]), count_range([5, 5]), count_range([5, 4])) == ("0", "5", "4 to 5")
    assert ratio(13.42) == "13.4 \N{MULTIPLICATION SIGN}"


@given(st.floats(1e-3, 1e6), st.floats(1.2, 1e5))
@settings(max_examples=60, deadline=None)
def test_ticks_lie_inside_in_order_and_are_few(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)
    assert ticks == sorted(ticks)
    assert len(ticks) <= 8
    assert all(low <= tick <= low * factor for tick in ticks)
    if factor > 3:
        assert ticks
