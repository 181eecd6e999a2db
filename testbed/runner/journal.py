"""Finished cells of a run that may be resumed: a folder beside the results, gone when the run is whole.

A cell counts as finished when its file is there: it is written under another name and then renamed. The
journal belongs to one experiment, seed and version of the testbed; another one is refused, not mixed in.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import ResultsExist
from testbed.measurement.plan import PlannedTrial
from testbed.measurement.trial import TrialOutcome
from testbed.records.atomic import disk_faults
from testbed.records.schema import CellRecord

FINGERPRINT_FILE = "run.sha256"


@dataclass(frozen=True, slots=True)
class FinishedCell:
    """What a cell gave: its record, and its trials with their outcomes."""

    record: CellRecord
    outcomes: tuple[tuple[PlannedTrial, TrialOutcome, float], ...]


def fingerprint(spec: dict[str, object], version: str) -> str:
    """Return what tells runs apart: a digest of the resolved experiment, its seed in it, and the version."""
    text = json.dumps([spec, version], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """The journal of one run in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def beside(cls, results: Path) -> Journal:
        """Return the journal that belongs to a folder of results."""
        return cls(results.with_name(f"{results.name}.cells"))

    def open(self, mark: str) -> None:
        """Begin, or go on with what is there.

        Raises:
            ResultsExist: the journal is another run's.
            EnvironmentProblem: no room or no permission.
        """
        marked = self.folder / FINGERPRINT_FILE
        if not marked.exists():
            with disk_faults(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                marked.write_text(mark, encoding="ascii")
        elif marked.read_text(encoding="ascii") != mark:
            raise ResultsExist(
                "the finished cells in this folder are of another experiment, seed or version",
                where=str(self.folder),
                fix="remove it, or choose another --out",
            )

    def finished(self, variant: str, repeat: int) -> FinishedCell | None:
        """Return a cell that is finished, or None."""
        file = self._file(variant, repeat)
        if not file.exists():
            return None
        cell: FinishedCell = pickle.loads(file.read_bytes())  # noqa: S301 - a run of ours wrote it
        return cell

    def add(self, variant: str, repeat: int, cell: FinishedCell) -> None:
        """Record that a cell is finished.

        Raises:
            EnvironmentProblem: no room or no permission.
        """
        file = self._file(variant, repeat)
        partial = file.with_suffix(".partial")
        with disk_faults(self.folder):
            partial.write_bytes(pickle.dumps(cell))
            partial.rename(file)

    def count(self) -> int:
        """Return how many cells are finished."""
        return len(list(self.folder.glob("*.cell")))

    def remove(self) -> None:
        """Remove the journal: the run is whole."""
        shutil.rmtree(self.folder)

    def _file(self, variant: str, repeat: int) -> Path:
        name = hashlib.sha256(f"{repeat} {variant}".encode()).hexdigest()[:16]
        return self.folder / f"{name}.cell"
