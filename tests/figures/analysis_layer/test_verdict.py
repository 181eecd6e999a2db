import dataclasses
import math

import pytest
from synthetic_run import LOAD, PROGRAMMING, synthetic_run
from synthetic_sweeps import CONNECT, dataplanes_run, proxy_scaling_run

from testbed.analysis.frames import tidy_samples
from testbed.analysis.statistics import repeat_statistics
from testbed.analysis.verdict import Level, Verdict, judge
from testbed.records.schema import HostLoad, RunRecord, TrialRecord, TrialStatus

RECORD, SAMPLES = synthetic_run(repeats=3)
SAMPLES = SAMPLES.groupby("trial", observed=True).head(50).reset_index(drop=True)


def verdict_on(record: RunRecord) -> Verdict:
    return judge(record, repeat_statistics(tidy_samples(record, SAMPLES)))


def with_loads(load: HostLoad | None, indices: set[int]) -> RunRecord:
    trials = tuple(
        dataclasses.replace(trial, host_load=load) if index in indices else trial
        for index, trial in enumerate(RECORD.trials)
    )
    return dataclasses.replace(RECORD, trials=trials)


def of_type(*types: str) -> set[int]:
    return {index for index, trial in enumerate(RECORD.trials) if trial.type in types}


def test_a_quiet_machine_is_ok() -> None:
    assert verdict_on(RECORD) == Verdict(Level.OK, ())


@pytest.mark.parametrize(
    ("load", "says"),
    [
        (dataclasses.replace(LOAD, stolen=0.021), "hypervisor took away more than 2 %"),
        (dataclasses.replace(LOAD, busy=0.96), "more than 95 % busy"),
        (dataclasses.replace(LOAD, packets_dropped=1), "packets were dropped"),
    ],
)
def test_load_is_a_caution_for_few_trials_and_spoils_the_run_for_many(load: HostLoad, says: str) -> None:
    latency = of_type("latency")
    few = verdict_on(with_loads(load, {min(latency)}))
    assert (few.level, few.findings[0].trials) == (Level.CAUTION, (min(latency),))
    assert says in few.findings[0].reason
    many = verdict_on(with_loads(load, latency))
    assert (many.level, set(many.findings[0].trials)) == (Level.SPOILED, latency)


@pytest.mark.parametrize("load", [LOAD, dataclasses.replace(LOAD, stolen=0.02, busy=0.95, stalled=0.25)])
def test_at_the_limits_nothing_is_said(load: HostLoad) -> None:
    assert verdict_on(with_loads(load, of_type("latency"))).level is Level.OK


def test_a_busy_machine_is_what_throughput_wants() -> None:
    busy = dataclasses.replace(LOAD, busy=1.0, stalled=0.9)
    assert verdict_on(with_loads(busy, of_type("throughput"))).level is Level.OK


def test_stalls_are_never_more_than_a_caution_and_unknown_ones_none() -> None:
    stalled = verdict_on(
        with_loads(dataclasses.replace(LOAD, stalled=0.9), of_type("latency", "ping", "connect"))
    )
    assert [finding.level for finding in stalled.findings] == [Level.CAUTION]
    assert (
        verdict_on(with_loads(dataclasses.replace(LOAD, stalled=math.nan), of_type("ping"))).level is Level.OK
    )


def test_drops_while_flooding_with_udp_are_a_caution() -> None:
    trials = tuple(
        dataclasses.replace(trial, protocol="UDP", host_load=dataclasses.replace(LOAD, packets_dropped=9))
        if trial.type == "throughput"
        else trial
        for trial in RECORD.trials
    )
    verdict = verdict_on(dataclasses.replace(RECORD, trials=trials))
    assert verdict.level is Level.CAUTION
    assert "more UDP was sent" in verdict.findings[0].reason


def test_an_unknown_load_is_said() -> None:
    verdict = verdict_on(with_loads(None, {0, 1}))
    assert (verdict.level, verdict.findings[0].trials) == (Level.CAUTION, (0, 1))


def failing(indices: set[int]) -> RunRecord:
    def fail(trial: TrialRecord) -> TrialRecord:
        return dataclasses.replace(trial, status=TrialStatus.FAILED, error="no")

    trials = tuple(fail(trial) if index in indices else trial for index, trial in enumerate(RECORD.trials))
    return dataclasses.replace(RECORD, trials=trials)


def test_failed_trials_are_named() -> None:
    verdict = verdict_on(failing({4, 7}))
    assert verdict.level is Level.CAUTION
    assert verdict.findings[0].trials == (4, 7)
    assert "2 of 90 trials (2 %) failed and are missing" in verdict.findings[0].reason
    assert any("fewer than 3 good repeats" in finding.reason for finding in verdict.findings)


def test_a_run_without_a_good_trial_is_spoiled() -> None:
    verdict = verdict_on(failing(set(range(len(RECORD.trials)))))
    assert verdict.level is Level.SPOILED
    assert "Every trial failed" in verdict.findings[0].reason
    assert verdict_on(dataclasses.replace(RECORD, trials=())).level is Level.SPOILED


def test_trials_without_raw_veth_beside_them_are_named() -> None:
    lost = {
        index
        for index, trial in enumerate(RECORD.trials)
        if (trial.path, trial.measurement, trial.repeat) == ("raw-veth", "ping", 1)
    }
    verdict = verdict_on(failing(lost))
    lonely = next(finding for finding in verdict.findings if "no ratio" in finding.reason)
    assert {RECORD.trials[index].measurement for index in lonely.trials} == {"ping"}
    assert len(lonely.trials) == 5


def test_programming_needs_no_raw_veth_and_may_keep_the_processors_busy() -> None:
    record, samples = synthetic_run(repeats=3, workloads=PROGRAMMING)
    busy = tuple(
        dataclasses.replace(trial, host_load=dataclasses.replace(LOAD, busy=1.0)) for trial in record.trials
    )
    record = dataclasses.replace(record, trials=busy)
    assert judge(record, repeat_statistics(tidy_samples(record, samples))) == Verdict(Level.OK, ())


def test_dataplanes_in_user_space_beside_others_in_the_kernel_are_named() -> None:
    for run, named in (
        (proxy_scaling_run((1, 9)), "dataplane ovs,"),
        (dataplanes_run(workloads=CONNECT), "ovs-vxlan,"),
    ):
        verdict = judge(run[0], repeat_statistics(tidy_samples(*run)))
        assert [finding.level for finding in verdict.findings] == [Level.CAUTION]
        assert named in verdict.findings[0].reason
        assert "the kernel forwarded with the rest" in verdict.findings[0].reason


def test_a_raw_veth_that_varies_with_many_variants_is_one_finding() -> None:
    record, samples = proxy_scaling_run(sizes=(1, 9))
    per_repeat = repeat_statistics(tidy_samples(record, samples))
    shaken = (
        per_repeat["path"].eq("raw-veth")
        & per_repeat["repeat"].eq(2)
        & per_repeat["variant"].str.endswith("=9")
    )
    per_repeat.loc[shaken, "value"] *= 2
    reasons = [finding.reason for finding in judge(record, per_repeat).findings if "varied" in finding.reason]
    assert len(reasons) == 1
    assert "varied by up to 4" in reasons[0]
    assert "(first-packet TCP; 3 of 6 variants)" in reasons[0]


def test_a_raw_veth_that_varies_is_said() -> None:
    per_repeat = repeat_statistics(tidy_samples(RECORD, SAMPLES))
    chosen = (
        (per_repeat["path"] == "raw-veth")
        & (per_repeat["measurement"] == "ping")
        & (per_repeat["repeat"] == 2)
    )
    per_repeat.loc[chosen, "value"] *= 2
    verdict = judge(RECORD, per_repeat)
    assert verdict.level is Level.CAUTION
    assert "Raw veth itself varied by 4" in verdict.findings[0].reason
    assert {RECORD.trials[index].measurement for index in verdict.findings[0].trials} == {"ping"}


@pytest.mark.parametrize(("repeats", "says"), [(1, "measured once"), (2, "measured 2 times")])
def test_too_few_repeats_are_said(repeats: int, says: str) -> None:
    trials = tuple(trial for trial in RECORD.trials if trial.repeat < repeats)
    record = dataclasses.replace(RECORD, trials=trials)
    kept = SAMPLES[SAMPLES["trial"] < len(trials)]
    verdict = judge(record, repeat_statistics(tidy_samples(record, kept)))
    assert [says in finding.reason for finding in verdict.findings] == [True]


def test_a_user_space_datapath_and_the_runs_own_warnings_are_said_once() -> None:
    cells = tuple(
        dataclasses.replace(cell, datapath_type="netdev", warnings=("slow to build",))
        for cell in RECORD.cells
    )
    verdict = verdict_on(dataclasses.replace(RECORD, cells=cells, warnings=("odd clock",)))
    reasons = [finding.reason for finding in verdict.findings]
    assert verdict.level is Level.CAUTION
    assert len(reasons) == 3
    assert "quote ratios" in reasons[0]
    assert reasons[1:] == ["odd clock", "slow to build"]
