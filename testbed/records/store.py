"""A run on disk: a folder with run.json and samples.parquet, which appears whole or not at all.

Reading checks what it relies on and explains what is wrong; what numbers mean is left to `testbed.analysis`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from testbed.errors import RunFailed
from testbed.records.atomic import new_folder, write_file
from testbed.records.samples import read_samples, write_samples
from testbed.records.schema import RunRecord
from testbed.records.wire import record_from_json, record_to_json

RECORD_FILE = "run.json"
SAMPLES_FILE = "samples.parquet"


def write_run(
    folder: Path,
    record: RunRecord,
    samples: pd.DataFrame,
    finish: Callable[[Path], object] = lambda _folder: None,
) -> None:
    """Write a run as a new folder.

    Args:
        folder: must not exist; its parents are made.
        record: the run.
        samples: as `sample_table` makes it.
        finish: called with the folder while nobody sees it yet, to put more into it.

    Raises:
        ResultsExist: the folder exists.
        EnvironmentProblem: no room or no permission. As after any other exception, nothing is left behind.
    """
    text = record_to_json(record).encode("ascii")
    with new_folder(folder) as partial:
        write_file(partial / SAMPLES_FILE, lambda file: write_samples(samples, file))
        write_file(partial / RECORD_FILE, lambda file: file.write(text))
        finish(partial)


def read_record(folder: Path) -> RunRecord:
    """Return the record of a run, without its samples.

    Raises:
        RunFailed: the folder or run.json is missing or damaged, or has another schema version.
    """
    path = folder / RECORD_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "this file of the run is missing" if folder.is_dir() else "there is no such folder of results"
        where = path if folder.is_dir() else folder
        raise RunFailed(what, where=str(where), fix="name the folder that `testbed run` printed") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RunFailed(f"cannot read the record: {error}", where=str(path)) from error
    return record_from_json(text, str(path))


def read_run(folder: Path) -> tuple[RunRecord, pd.DataFrame]:
    """Return the record and the samples of a run; columns of the samples are described in `schema.py`.

    Raises:
        RunFailed: a file is missing, truncated, of another schema version, or the two do not fit together.
    """
    record = read_record(folder)
    return record, read_samples(folder / SAMPLES_FILE, len(record.trials))
