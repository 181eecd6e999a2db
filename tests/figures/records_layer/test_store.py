import dataclasses
import errno
import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_run import LOAD, synthetic_run

from testbed.errors import EnvironmentProblem, ResultsExist, RunFailed, TestbedError
from testbed.records.atomic import new_folder, replace_files
from testbed.records.samples import sample_table
from testbed.records.schema import METRICS, HostLoad, RunRecord, TrialStatus
from testbed.records.store import RECORD_FILE, SAMPLES_FILE, read_run, write_run
from testbed.records.wire import record_from_json, record_to_json

TEXT = st.text(max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
LOADS = st.builds(HostLoad, busy=FLOATS, stolen=FLOATS, stalled=FLOATS, packets_dropped=st.integers(0, 2**40))


@pytest.fixture(scope="module")
def small() -> tuple[RunRecord, pd.DataFrame]:
    record, samples = synthetic_run(repeats=1)
    return record, samples.groupby("trial", observed=True).head(20).reset_index(drop=True)


@pytest.fixture
def folder(tmp_path: Path, small: tuple[RunRecord, pd.DataFrame]) -> Path:
    write_run(tmp_path / "run", *small)
    return tmp_path / "run"


@st.composite
def records(draw: st.DrawFn) -> RunRecord:
    record, _ = synthetic_run(repeats=1, seed=1)
    trials = tuple(
        dataclasses.replace(
            record.trials[0],
            variant=draw(TEXT),
            settings=draw(st.dictionaries(TEXT, TEXT | st.booleans() | st.integers() | FLOATS, max_size=3)),
            error=draw(TEXT),
            started_s=draw(FLOATS),
            status=draw(st.sampled_from(TrialStatus)),
            host_load=draw(st.none() | LOADS),
            argv=tuple(draw(st.lists(TEXT, max_size=3))),
            summary=draw(st.dictionaries(TEXT, FLOATS, max_size=3)),
        )
        for _ in range(draw(st.integers(0, 3)))
    )
    return dataclasses.replace(
        record, trials=trials, spec=draw(st.dictionaries(TEXT, JSON_VALUES, max_size=3))
    )


@given(record=records())
@settings(max_examples=25, deadline=None)
def test_a_record_survives_json_exactly(record: RunRecord) -> None:
    text = record_to_json(record)
    again = record_from_json(text, "run.json")
    assert again == record
    assert record_to_json(again) == text


@given(
    per_trial=st.lists(
        st.dictionaries(st.sampled_from(sorted(set(METRICS.values()))), st.lists(FLOATS, max_size=5)),
        max_size=4,
    )
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_run_survives_the_disk_exactly(
    tmp_path_factory: pytest.TempPathFactory, small: tuple[RunRecord, pd.DataFrame], per_trial: list
) -> None:
    record = dataclasses.replace(small[0], trials=small[0].trials[: len(per_trial)])
    samples = sample_table(per_trial)
    folder = tmp_path_factory.mktemp("runs") / "run"
    write_run(folder, record, samples)
    again, read = read_run(folder)
    assert again == record
    pd.testing.assert_frame_equal(read, samples, check_exact=True)


def test_a_sample_table_is_sorted_and_numbered_within_trial_and_metric() -> None:
    table = sample_table([{"rtt_us": [3.0, 1.0]}, {}, {"throughput_bps": [5.0], "connect_us": [4.0]}])
    rows = [(r.trial, str(r.metric), r.sequence, r.value) for r in table.itertuples()]
    assert rows == [
        (0, "rtt_us", 0, 3.0),
        (0, "rtt_us", 1, 1.0),
        (2, "connect_us", 0, 4.0),
        (2, "throughput_bps", 0, 5.0),
    ]
    assert (table.dtypes["trial"], table.dtypes["sequence"]) == (np.int32, np.int32)


def test_samples_are_written_in_order_and_equal_tables_give_equal_bytes(
    tmp_path: Path, small: tuple[RunRecord, pd.DataFrame]
) -> None:
    record, samples = small
    write_run(tmp_path / "a", record, samples)
    write_run(tmp_path / "b", record, samples.sample(frac=1, random_state=3))
    for name in (RECORD_FILE, SAMPLES_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_is_written_as_null_and_read_as_nan(
    value: float, small: tuple[RunRecord, pd.DataFrame]
) -> None:
    trial = dataclasses.replace(small[0].trials[0], host_load=dataclasses.replace(LOAD, stalled=value))
    text = record_to_json(dataclasses.replace(small[0], trials=(trial,)))
    assert json.loads(text)["trials"][0]["host_load"]["stalled"] is None
    load = record_from_json(text, "run.json").trials[0].host_load
    assert load is not None
    assert math.isnan(load.stalled)


def test_whole_numbers_where_floats_belong_give_the_same_bytes(small: tuple[RunRecord, pd.DataFrame]) -> None:
    def with_start(start: float) -> RunRecord:
        return dataclasses.replace(
            small[0], trials=(dataclasses.replace(small[0].trials[0], started_s=start),)
        )

    assert with_start(2) == with_start(2.0)
    assert record_to_json(with_start(2)) == record_to_json(with_start(2.0))


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_an_existing_destination_is_refused_and_left_alone(
    kind: str, tmp_path: Path, small: tuple[RunRecord, pd.DataFrame]
) -> None:
    destination = tmp_path / "run"
    if kind == "folder":
        destination.mkdir()
    elif kind == "file":
        destination.write_text("mine")
    else:
        destination.symlink_to("nowhere")
    with pytest.raises(ResultsExist, match="--out"):
        write_run(destination, *small)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_destination_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    destination = tmp_path / "run"
    with pytest.raises(ResultsExist), new_folder(destination) as partial:
        (partial / "file").write_text("new")
        destination.mkdir()
        (destination / "file").write_text("old")
    assert (destination / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    "fault", [KeyboardInterrupt(), ValueError("x"), OSError(errno.EIO, "Input/output error")]
)
def test_a_fault_while_writing_leaves_nothing(fault: BaseException, tmp_path: Path) -> None:
    with (
        pytest.raises((KeyboardInterrupt, ValueError, EnvironmentProblem)),
        new_folder(tmp_path / "made" / "too" / "run") as partial,
    ):
        (partial / "samples.parquet").write_bytes(b"half")
        raise fault
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_explained_with_the_room_left(tmp_path: Path) -> None:
    with (
        pytest.raises(EnvironmentProblem, match=r"no room for it: [\d.]+ MiB are free") as caught,
        new_folder(tmp_path / "run"),
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        file.write(b"x")
    assert caught.value.where == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_with_one_process_id_do_not_share_a_folder(tmp_path: Path) -> None:
    with new_folder(tmp_path / "run") as first, new_folder(tmp_path / "run.2") as other:
        assert first != other
    (tmp_path / f".again.partial-{os.getpid()}").mkdir()
    with new_folder(tmp_path / "again") as partial:
        assert partial.name.startswith(".again.partial-")
    assert (tmp_path / "again").is_dir()


def test_replacing_files_keeps_the_old_ones_when_staging_fails(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    (tmp_path / "figures").write_text("a file where a folder must be")
    with pytest.raises(EnvironmentProblem):
        replace_files(tmp_path, {"figures/a.svg": b"new", "report.html": b"new"})
    assert (tmp_path / "report.html").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures", "report.html"]


def edit(folder: Path, **changes: object) -> None:
    path = folder / RECORD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "newer than 1.*update the testbed"),
        ({"schema_version": 0}, "older than 1"),
        ({"schema_version": "1"}, "schema_version: it must be a whole number"),
        ({"seed": "one"}, "seed: it must be of type int, not str"),
        ({"seed": True}, "seed: it must be of type int, not bool"),
        ({"seed": None}, "seed: it must not be null"),
        ({"surprise": 1}, "surprise: unknown key"),
        ({"trials": {}}, "trials: it must be a list"),
        ({"trials": [{"variant": ""}]}, r"trials\[0\].settings: it is missing"),
        ({"provenance": []}, "provenance: it must be an object"),
        ({"cells": [{"build_s": 10**400}]}, r"cells\[0\].variant: it is missing"),
    ],
)
def test_a_wrong_record_is_explained_by_its_place(folder: Path, changes: dict, message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(RunFailed, match=message) as caught:
        read_run(folder)
    assert caught.value.where.endswith(RECORD_FILE)


def test_a_wrong_value_deep_inside_is_named(folder: Path) -> None:
    document = json.loads((folder / RECORD_FILE).read_text())
    document["trials"][3]["status"] = "maybe"
    edit(folder, trials=document["trials"])
    with pytest.raises(RunFailed, match=r"trials\[3\].status: 'maybe' is not one of ok, failed"):
        read_run(folder)


@pytest.mark.parametrize("name", [RECORD_FILE, SAMPLES_FILE])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.99])
def test_a_truncated_file_is_explained(folder: Path, name: str, keep: float) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(TestbedError, match="complete") as caught:
        read_run(folder)
    assert caught.value.where == str(folder / name)


@pytest.mark.parametrize("name", [RECORD_FILE, SAMPLES_FILE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(RunFailed, match="missing") as caught:
        read_run(folder)
    assert caught.value.where == str(folder / name)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="no such folder"):
        read_run(tmp_path / "nothing")


def test_samples_of_a_trial_that_the_run_lacks_are_refused(folder: Path) -> None:
    document = json.loads((folder / RECORD_FILE).read_text())
    edit(folder, trials=document["trials"][:2])
    with pytest.raises(RunFailed, match="samples of trial 2, but the run has 2 trials"):
        read_run(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="value"), "column value is missing"),
        (lambda frame: frame.assign(metric="speed"), "unknown metric speed"),
        (lambda frame: frame.assign(value="fast"), "other types"),
        (lambda frame: frame.assign(trial=-1), "samples of trial -1"),
    ],
)
def test_samples_of_another_shape_are_refused(folder: Path, change, message: str) -> None:
    frame = pd.read_parquet(folder / SAMPLES_FILE).astype({"metric": str})
    change(frame).to_parquet(folder / SAMPLES_FILE)
    with pytest.raises(RunFailed, match=message):
        read_run(folder)
