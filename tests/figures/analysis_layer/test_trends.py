import math

import pytest
from scipy import stats
from synthetic_sweeps import proxy_scaling_run

from testbed.analysis.frames import tidy_samples
from testbed.analysis.statistics import Interval, repeat_statistics
from testbed.analysis.trends import (
    Agreement,
    Series,
    Trend,
    agreement_with,
    factor_between,
    repeat_values,
    trend_of,
)

GROWS, LEVEL, FALLS, UNTOLD = Trend
AGREES, DISAGREES, CANNOT = Agreement


def series(name: str) -> Series:
    return Series("m", "connect_us", "TCP", "last-service", name, "p50")


VALUES = {
    series("small"): {0: 10.0, 1: 20.0, 2: 30.0},
    series("large"): {0: 20.0, 1: 60.0, 2: 75.0},
    series("other small"): {0: 5.0, 1: 5.0, 2: 5.0},
    series("other large"): {0: 5.0, 1: 10.0, 7: 1.0},
}


def test_a_factor_is_paired_within_repeats() -> None:
    found = factor_between(VALUES, [series("large")], [series("small")])
    assert (found.n, found.mean) == (3, pytest.approx(stats.gmean([2.0, 3.0, 2.5])))
    bounds = stats.ttest_1samp([math.log(x) for x in (2.0, 3.0, 2.5)], 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(bounds.low), math.exp(bounds.high)))


def test_one_growth_over_another_uses_the_repeats_that_all_have() -> None:
    found = factor_between(
        VALUES, [series("large"), series("other small")], [series("small"), series("other large")]
    )
    # repeat 0: (20 / 10) / (5 / 5) = 2; repeat 1: (60 / 20) / (10 / 5) = 1.5; repeat 2 has no fourth value
    assert (found.n, found.mean) == (2, pytest.approx(math.sqrt(2 * 1.5)))


def test_a_factor_of_what_was_not_measured_is_unknown() -> None:
    found = factor_between(VALUES, [series("large")], [series("failed")])
    assert found.n == 0
    assert math.isnan(found.mean)
    assert trend_of(found) is UNTOLD


@pytest.mark.parametrize(
    ("low", "high", "trend", "if_growth", "if_level"),
    [
        (2.8, 3.7, GROWS, AGREES, DISAGREES),
        (1.01, 3.7, GROWS, AGREES, CANNOT),
        (1.01, 1.2, LEVEL, DISAGREES, AGREES),
        (0.9, 1.1, LEVEL, DISAGREES, AGREES),
        (0.8, 1.25, LEVEL, DISAGREES, AGREES),
        (0.5, 2.0, UNTOLD, CANNOT, CANNOT),
        (0.9, 1.6, UNTOLD, CANNOT, CANNOT),
        (0.7, 0.95, FALLS, DISAGREES, CANNOT),
        (0.2, 0.5, FALLS, DISAGREES, DISAGREES),
        (math.nan, math.nan, UNTOLD, CANNOT, CANNOT),
    ],
)
def test_what_an_interval_says(
    low: float, high: float, trend: Trend, if_growth: Agreement, if_level: Agreement
) -> None:
    factor = Interval(3, 1.0, low, high)
    assert trend_of(factor) is trend
    assert agreement_with(GROWS, factor) is if_growth
    assert agreement_with(LEVEL, factor) is if_level


def test_nothing_else_is_ever_expected() -> None:
    with pytest.raises(ValueError, match="cannot be told"):
        agreement_with(UNTOLD, Interval(3, 1.0, 0.9, 1.1))


def test_repeat_values_are_those_of_the_table() -> None:
    record, samples = proxy_scaling_run(sizes=(1, 5), repeats=2)
    per_repeat = repeat_statistics(tidy_samples(record, samples))
    values = repeat_values(per_repeat)
    assert sum(map(len, values.values())) == len(per_repeat)
    one = Series("programming", "first_connection_us", "", "new-service", "dataplane=ovs, services=5", "p50")
    rows = per_repeat.loc[
        (per_repeat["variant"] == one.variant)
        & (per_repeat["metric"] == one.metric)
        & (per_repeat["statistic"] == "p50")
    ]
    assert values[one] == dict(zip(rows["repeat"], rows["value"], strict=True))
