import dataclasses

from synthetic_run import synthetic_run

from testbed.analysis.frames import (
    sorted_measurements,
    sorted_paths,
    sorted_variants,
    tidy_samples,
    trial_frame,
)

ENCAPSULATIONS = {
    f"encapsulation={name}": {"cluster.network.encapsulation": name} for name in ("none", "geneve", "vxlan")
}


def test_variants_follow_the_sweep_of_the_experiment() -> None:
    record, _ = synthetic_run(ENCAPSULATIONS, repeats=1)
    assert sorted_variants(record) == ["encapsulation=vxlan", "encapsulation=geneve", "encapsulation=none"]
    whole = dataclasses.replace(record, spec={"kind": "Experiment", "spec": record.spec})
    assert sorted_variants(whole) == sorted_variants(record)


def test_variants_that_no_sweep_lists_are_sorted_by_number() -> None:
    record, _ = synthetic_run({f"services={n}": {"services": n} for n in (1000, 1, 20)}, repeats=1)
    assert sorted_variants(record) == ["services=1", "services=20", "services=1000"]


def test_measurements_follow_the_experiment_or_else_their_type() -> None:
    record, _ = synthetic_run(repeats=1)
    assert sorted_measurements(record) == ["latency", "ping", "connect", "throughput"]
    named = dataclasses.replace(record, spec={"measurements": [{"name": "throughput"}, {"name": "ping"}]})
    assert sorted_measurements(named) == ["throughput", "ping", "latency", "connect"]


def test_paths_are_shown_from_raw_veth_to_the_experiments_own() -> None:
    assert sorted_paths(["zebra", "hairpin", "apple", "raw-veth", "pod-other-node", "hairpin"]) == [
        "raw-veth",
        "pod-other-node",
        "hairpin",
        "apple",
        "zebra",
    ]


def test_tidy_samples_are_those_of_good_trials_with_their_facts() -> None:
    record, samples = synthetic_run(ENCAPSULATIONS, repeats=2, fail=0.3)
    facts, tidy = trial_frame(record), tidy_samples(record, samples)
    good = set(facts.index[facts["is_ok"]])
    assert 0 < len(good) < len(record.trials)
    assert set(tidy["trial"]) == good
    for row in tidy.groupby("trial").first().reset_index().itertuples():
        trial = record.trials[row.trial]
        assert (row.path, row.variant, row.repeat) == (trial.path, trial.variant, trial.repeat)
        assert row.protocol == (trial.protocol or "ICMP")
