import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from synthetic_run import PROGRAMMING, synthetic_run

from testbed.analysis.frames import tidy_samples
from testbed.analysis.statistics import (
    main_rows,
    mean_interval,
    percentile_is_known,
    ratio_interval,
    repeat_statistics,
    summarise,
    trial_statistics,
)

POSITIVE = st.floats(1e-3, 1e9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30).filter(lambda v: np.std(v) > 1e-3))
@settings(max_examples=40, deadline=None)
def test_a_mean_interval_is_that_of_scipy(values: list[float]) -> None:
    found = mean_interval(values)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-6)


def test_a_mean_interval_by_hand() -> None:
    # mean 10, standard deviation 1, standard error 1/sqrt(3); t(0.975, 2) = 4.302653 in any table
    found = mean_interval([9.0, 10.0, 11.0])
    reach = 4.302653 / math.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((10.0, 10 - reach, 10 + reach), rel=1e-6)


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    one, none = mean_interval([7.0]), mean_interval([])
    assert (one.n, one.mean) == (1, 7.0)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert none.n == 0
    assert math.isnan(none.mean)


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_a_ratio_does_not_depend_on_which_side_is_the_reference(pairs: list[tuple[float, float]]) -> None:
    above, below = zip(*pairs, strict=True)
    forth, back = ratio_interval(above, below), ratio_interval(below, above)
    assert forth.mean == pytest.approx(stats.gmean(np.divide(above, below)), rel=1e-6)
    assert forth.mean * back.mean == pytest.approx(1.0, rel=1e-9)
    if len(pairs) > 1 and math.log(forth.high / forth.low) < 600:
        assert forth.low * back.high == pytest.approx(1.0, rel=1e-6)


def test_a_ratio_by_hand_and_pairs_without_one() -> None:
    found = ratio_interval([2.0, 8.0, 5.0, 0.0, math.nan], [1.0, 1.0, 0.0, 3.0, 1.0])
    # two usable pairs: sqrt(2 * 8) = 4; logs differ by ln 4, standard error ln(4) / 2; t(0.975, 1) = 12.7062
    assert (found.n, found.mean) == (2, pytest.approx(4.0))
    assert found.high == pytest.approx(4 * math.exp(12.7062 * math.log(4) / 2), rel=1e-4)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
@settings(max_examples=30, deadline=None)
def test_percentiles_are_those_of_numpy_and_only_the_known_ones(values: list[float]) -> None:
    found = trial_statistics(values, "rtt_us")
    assert found["p50"] == pytest.approx(float(np.median(values)))
    assert ("p01" in found, "p90" in found, "p99" in found, "p99.9" in found) == (
        len(values) >= 100,
        len(values) >= 10,
        len(values) >= 100,
        False,
    )
    if "p99" in found:
        assert found["p99"] == pytest.approx(float(np.percentile(values, 99)))


def test_a_measurement_with_two_metrics_has_rows_of_both_and_no_ratio_without_raw_veth() -> None:
    record, samples = synthetic_run(repeats=3, workloads=PROGRAMMING)
    summary = summarise(repeat_statistics(tidy_samples(record, samples)))
    assert {(row.metric, row.statistic) for row in summary.itertuples()} == {
        (metric, statistic)
        for metric in ("programming_us", "first_connection_us")
        for statistic in ("mean", "p50", "p90")
    }
    assert summary[["ratio", "ratio_low", "ratio_high"]].isna().all(axis=None)
    assert set(main_rows(summary)["statistic"]) == {"p50"}


def test_throughput_has_a_mean_alone() -> None:
    assert trial_statistics([1e9, 3e9], "throughput_bps") == {"mean": 2e9}
    assert trial_statistics([], "rtt_us") == {}


@pytest.mark.parametrize(("percent", "fewest"), [(1.0, 100), (90.0, 10), (99.0, 100), (99.9, 1000)])
def test_a_percentile_needs_a_sample_beyond_it(percent: float, fewest: int) -> None:
    assert percentile_is_known(percent, fewest)
    assert not percentile_is_known(percent, fewest - 1)


@pytest.fixture(scope="module")
def summary() -> pd.DataFrame:
    record, samples = synthetic_run(repeats=4, seed=5)
    return summarise(repeat_statistics(tidy_samples(record, samples)))


def test_a_summary_has_the_means_over_repeats_of_each_repeats_statistic() -> None:
    record, samples = synthetic_run(repeats=3, seed=2)
    summary = main_rows(summarise(repeat_statistics(tidy_samples(record, samples))))
    row = (
        summary[(summary["measurement"] == "latency") & (summary["protocol"] == "UDP")]
        .set_index("path")
        .loc["hairpin"]
    )
    medians, ratios = [], []
    for repeat in range(3):
        by_path = {
            trial.path: samples.loc[samples["trial"] == index, "value"].median()
            for index, trial in enumerate(record.trials)
            if (trial.measurement, trial.protocol, trial.repeat) == ("latency", "UDP", repeat)
        }
        medians.append(by_path["hairpin"])
        ratios.append(by_path["hairpin"] / by_path["raw-veth"])
    assert row["n"] == row["ratio_n"] == 3
    assert row["samples"] == 6000
    assert row["mean"] == pytest.approx(np.mean(medians))
    assert row["ratio"] == pytest.approx(stats.gmean(ratios))
    interval = stats.ttest_1samp(np.log(ratios), 0).confidence_interval(0.95)
    assert (row["ratio_low"], row["ratio_high"]) == pytest.approx(
        (math.exp(interval.low), math.exp(interval.high))
    )


def test_raw_veth_is_at_distance_one(summary: pd.DataFrame) -> None:
    raw = summary[summary["path"] == "raw-veth"]
    assert (raw[["ratio", "ratio_low", "ratio_high"]] == 1.0).all(axis=None)


def test_a_summary_has_every_combination_once(summary: pd.DataFrame) -> None:
    keys = ["measurement", "protocol", "path", "variant", "statistic"]
    assert not summary.duplicated(keys).any()
    assert len(main_rows(summary)) == 6 * 5


def test_a_repeat_without_raw_veth_counts_for_the_mean_and_not_for_the_ratio() -> None:
    record, samples = synthetic_run(repeats=3)
    lost = next(
        index
        for index, trial in enumerate(record.trials)
        if (trial.path, trial.measurement, trial.protocol, trial.repeat) == ("raw-veth", "latency", "TCP", 1)
    )
    tidy = tidy_samples(record, samples)
    rows = main_rows(summarise(repeat_statistics(tidy[tidy["trial"] != lost])))
    row = rows[
        (rows["measurement"] == "latency") & (rows["protocol"] == "TCP") & (rows["path"] == "hairpin")
    ].iloc[0]
    assert (row["n"], row["ratio_n"]) == (3, 2)


def test_a_run_without_good_trials_gives_empty_tables() -> None:
    record, samples = synthetic_run(repeats=1, fail=1.0)
    per_repeat = repeat_statistics(tidy_samples(record, samples))
    assert len(per_repeat) == len(summarise(per_repeat)) == len(main_rows(summarise(per_repeat))) == 0


def test_an_interval_of_times_does_not_pass_zero() -> None:
    rows = [
        {"variant": "", "measurement": "m", "type": "latency", "protocol": "TCP", "path": "raw-veth",
         "metric": "rtt_us", "statistic": "p99", "repeat": repeat, "value": value, "samples": 100}
        for repeat, value in enumerate((1.0, 1.0, 100.0))
    ]  # fmt: skip
    summary = summarise(pd.DataFrame(rows))
    assert summary["low"].iloc[0] == 0.0
    assert summary["high"].iloc[0] > 100.0
