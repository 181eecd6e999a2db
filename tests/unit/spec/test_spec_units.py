import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed import units


@pytest.mark.parametrize(
    ("text", "rate_bps"),
    [("10Mbit", 10**7), ("1Gbit", 10**9), ("500kbit", 500_000), ("8bit", 8), ("10M", 10**7), ("1G", 10**9),
     ("1.5Gbit", 1_500_000_000), ("0", 0), ("100 Mbit/s", 10**8)],
)  # fmt: skip
def test_bit_rates(text: str, rate_bps: int) -> None:
    assert units.parse_bit_rate(text) == rate_bps


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [("200us", 200_000), ("5ms", 5_000_000), ("10s", 10**10), ("1m30s", 90 * 10**9), ("1h", 3600 * 10**9),
     ("0", 0), ("1.5ms", 1_500_000), ("1m1ms", 60_001_000_000)],
)  # fmt: skip
def test_durations(text: str, duration_ns: int) -> None:
    assert units.parse_duration(text) == duration_ns


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("64", 64), ("64B", 64), ("64KiB", 65536), ("10MB", 10**7), ("1.5kB", 1500)]
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert units.parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "fraction"), [("0.1%", 0.001), ("100%", 1.0), ("0%", 0.0), ("12.5 %", 0.125)]
)
def test_percentages(text: str, fraction: float) -> None:
    assert units.parse_percent(text) == fraction


@pytest.mark.parametrize(
    "text", ["", "fast", "-1Mbit", "10MiB", "1e9", "10 20", "1.5bit", "1Mbit\n", "٣Mbit"]
)
def test_no_bit_rate(text: str) -> None:
    with pytest.raises(ValueError, match="a bit rate such as"):
        units.parse_bit_rate(text)


@pytest.mark.parametrize("text", ["", "5", "5 ms", "-5ms", "5sec", "0.1ns", "s", "1h\n"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a duration such as"):
        units.parse_duration(text)


@pytest.mark.parametrize("text", ["", "64bit", "64 K", "1.5", "-1"])
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="a size in bytes"):
        units.parse_size(text)


@pytest.mark.parametrize("text", ["", "0.1", "101%", "-1%", "100.0001%"])
def test_no_percentage(text: str) -> None:
    with pytest.raises(ValueError, match="a percentage from 0% to 100%"):
        units.parse_percent(text)


@settings(max_examples=60)
@given(st.integers(0, 10**15))
def test_printing_reads_back(number: int) -> None:
    assert units.parse_bit_rate(units.format_bit_rate(units.BitsPerSecond(number))) == number
    assert units.parse_duration(units.format_duration(units.Nanoseconds(number))) == number
    assert units.parse_size(units.format_size(units.ByteCount(number))) == number


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_percentages_read_back(millionths: int) -> None:
    assert units.parse_percent(units.format_percent(millionths / 10**6)) == pytest.approx(millionths / 10**6)


def test_printing_prefers_large_units() -> None:
    assert units.format_bit_rate(10_000_000) == "10Mbit"
    assert units.format_bit_rate(0) == "0bit"
    assert units.format_duration(90_000_000_000) == "1m30s"
    assert units.format_duration(0) == "0s"
    assert units.format_size(65536) == "64KiB"
    assert units.format_size(0) == "0"
    assert units.format_percent(0.001) == "0.1%"
