"""The table of raw samples: making it, checking it, its Parquet form. `schema.py` describes the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from testbed.errors import RunFailed, TestbedError
from testbed.records.schema import METRICS

METRIC_NAMES = tuple(sorted(set(METRICS.values())))
METRIC_TYPE = pd.CategoricalDtype(list(METRIC_NAMES))
ORDER = ["trial", "metric", "sequence"]
DAMAGED = "run the experiment again; the samples are damaged"
ARROW_SCHEMA = pa.schema(
    [
        pa.field("trial", pa.int32(), nullable=False),
        pa.field("metric", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("sequence", pa.int32(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)


def sample_table(per_trial: Sequence[Mapping[str, ArrayLike]]) -> pd.DataFrame:
    """Return the table of samples of all trials, sorted by trial, metric and sequence.

    Args:
        per_trial: one mapping per trial, in the order of RunRecord.trials, from metric to values in the
            metric's unit and in the order they were taken; empty for a failed trial.

    Raises:
        ValueError: a metric that `schema.METRICS` does not name.
    """
    parts = [
        (trial, METRIC_NAMES.index(metric), np.asarray(values, dtype=np.float64).ravel())
        for trial, of_trial in enumerate(per_trial)
        for metric, values in sorted(of_trial.items())
    ]
    sizes = [values.size for _, _, values in parts]
    codes = np.repeat(np.array([code for _, code, _ in parts], dtype=np.int8), sizes)
    return pd.DataFrame(
        {
            "trial": np.repeat(np.array([trial for trial, _, _ in parts], dtype=np.int32), sizes),
            "metric": pd.Categorical.from_codes(codes, dtype=METRIC_TYPE),
            "sequence": np.concatenate([np.arange(size, dtype=np.int32) for size in [0, *sizes]]),
            "value": np.concatenate([np.empty(0), *(values for _, _, values in parts)]),
        }
    )


def write_samples(samples: pd.DataFrame, file: IO[bytes]) -> None:
    """Write a table of samples as Parquet, sorted; the same table gives the same bytes.

    Values keep all 64 bits; they are stored by dictionary where tools report few distinct ones.
    """
    columns = samples[["trial", "metric", "sequence", "value"]].sort_values(ORDER, kind="stable")
    table = pa.Table.from_pandas(columns, schema=ARROW_SCHEMA, preserve_index=False).replace_schema_metadata(
        None
    )
    pq.write_table(
        table,
        file,
        compression="zstd",
        compression_level=9,
        use_dictionary=["metric", "value"],
        column_encoding={"trial": "DELTA_BINARY_PACKED", "sequence": "DELTA_BINARY_PACKED"},
    )


def read_samples(path: Path, trial_count: int) -> pd.DataFrame:
    """Return the table that a Parquet file holds, with the columns and types of `sample_table`.

    Raises:
        RunFailed: not Parquet, truncated, other columns, an unknown metric, or a trial the run does not have.
    """
    table = _read_table(path)
    missing = [name for name in ARROW_SCHEMA.names if name not in table.column_names]
    if missing:
        raise _damaged(path, f"column {', '.join(missing)} is missing")
    try:
        frame = table.select(ARROW_SCHEMA.names).cast(ARROW_SCHEMA).to_pandas()
    except (pa.ArrowException, ValueError) as error:
        raise _damaged(path, f"its columns have other types: {error}") from error
    _check_values(frame, path, trial_count)
    samples: pd.DataFrame = frame.assign(metric=frame["metric"].astype(METRIC_TYPE))
    return samples


def _read_table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except FileNotFoundError as error:
        raise RunFailed("this file of the run is missing", where=str(path)) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, f"this is not a complete Parquet file: {error}") from error


def _check_values(frame: pd.DataFrame, path: Path, trial_count: int) -> None:
    unknown = sorted(set(frame["metric"].unique()) - set(METRIC_NAMES))
    if unknown:
        raise _damaged(path, f"unknown metric {unknown[0]}; known are {', '.join(METRIC_NAMES)}")
    outside = frame.loc[(frame["trial"] < 0) | (frame["trial"] >= trial_count), "trial"]
    if len(outside):
        raise _damaged(
            path, f"it has samples of trial {outside.iloc[0]}, but the run has {trial_count} trials"
        )


def _damaged(path: Path, what: str) -> TestbedError:
    return RunFailed(what, where=str(path), fix=DAMAGED)
