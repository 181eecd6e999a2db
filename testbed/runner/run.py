"""One experiment from its file to its results: plan, build each cell in a sandbox, measure, record, draw.

A cell is one variant in one repeat, on a network built for it alone. This is the parent: it needs no
privilege of its own and holds the results; `inside` does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from testbed.emulation.sandbox import run_in_sandbox
from testbed.errors import Interrupted, RunFailed
from testbed.measurement.plan import PlannedTrial
from testbed.measurement.probes import required_programs
from testbed.measurement.trial import TrialOutcome, trial_record
from testbed.records.atomic import refuse_unwritable
from testbed.records.provenance import collect_provenance, testbed_version
from testbed.records.samples import sample_table
from testbed.records.schema import SCHEMA_VERSION, CellRecord, RunRecord, TrialRecord
from testbed.records.store import write_run
from testbed.report.build import PAGE_FILE, build_report
from testbed.runner.drawing import drawing_of
from testbed.runner.job import CellJob, ClusterPlan, to_wire, unpacked
from testbed.runner.journal import FinishedCell, Journal, fingerprint
from testbed.runner.plan import RunPlan
from testbed.runner.preflight import INSIDE, check_machine
from testbed.spec.load import resolved_spec

Json = dict[str, Any]  # a JSON object; its values are checked where they are read
ENGINE = "native"


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of a run, for whoever shows it: trials done of all, and in words what is going on."""

    done: int
    total: int
    doing: str
    failed: int = 0


OnProgress = Callable[[Progress], None]


@dataclass(slots=True)
class _Cell:
    """What a cell has reported so far."""

    datapath_type: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    outcomes: list[tuple[PlannedTrial, TrialOutcome]] = field(default_factory=list)


@dataclass(slots=True)
class _Results:
    """What a run has gathered so far."""

    cells: list[CellRecord] = field(default_factory=list)
    outcomes: list[tuple[PlannedTrial, TrialOutcome, float]] = field(default_factory=list)

    def add(self, cell: FinishedCell) -> None:
        """Add what a cell gave."""
        self.cells.append(cell.record)
        self.outcomes += cell.outcomes


def run_experiment(
    plan: RunPlan,
    folder: Path,
    *,
    command: Sequence[str],
    on_progress: OnProgress,
    is_resumable: bool = False,
) -> Path:
    """Carry a run out, write its results as a new folder and draw the report; return report.html.

    Args:
        plan: the decided run.
        folder: must not exist.
        command: how the run was called, for the record.
        on_progress: told before each stage and after each trial.
        is_resumable: keep finished cells beside the folder until the run is whole, and go on with those that
            an interrupted run left there.

    Raises:
        ResultsExist, EnvironmentProblem: nothing has been started.
        RunFailed: a network could not be built. Nothing is written.
    """
    refuse_unwritable(folder)
    variants = plan.experiment.variants
    types = [measurement.type for variant in variants for measurement in variant.spec.measurements]
    check_machine(plan.plans.values(), required_programs(types))
    started = datetime.now(UTC)
    results = _Results()
    journal = _open_journal(plan, folder) if is_resumable else None
    try:
        _run_cells(plan, results, journal, on_progress)
    except KeyboardInterrupt as error:
        if journal is None:
            raise
        kept = f"{journal.count()} of {len(plan.cells())} cells are kept in {journal.folder}"
        raise Interrupted(f"interrupted; {kept}: the same command goes on from there") from error
    on_progress(Progress(len(plan.trials), len(plan.trials), "drawing figures"))
    record = _record(plan, results, started, command)
    samples = sample_table([outcome.samples for _, outcome, _ in results.outcomes])
    write_run(folder, record, samples, finish=build_report)
    if journal:
        journal.remove()
    return folder / PAGE_FILE


def _run_cells(plan: RunPlan, results: _Results, journal: Journal | None, on_progress: OnProgress) -> None:
    began = monotonic()
    for variant, repeat, trials in plan.cells():
        cell = journal.finished(variant, repeat) if journal else None
        if cell is None:
            done = len(results.outcomes)
            cell = _run_cell(plan, (variant, repeat, trials), (done, monotonic() - began), on_progress)
            if journal:
                journal.add(variant, repeat, cell)
        results.add(cell)


def _open_journal(plan: RunPlan, folder: Path) -> Journal:
    journal = Journal.beside(folder)
    journal.open(fingerprint(resolved_spec(plan.experiment), testbed_version()))
    return journal


def _run_cell(
    plan: RunPlan,
    cell: tuple[str, int, tuple[PlannedTrial, ...]],
    so_far: tuple[int, float],
    on_progress: OnProgress,
) -> FinishedCell:
    """Build a cell and carry out its trials.

    `so_far` has the trials done, and the seconds since the run's start: a cell's trials know its own clock
    only.
    """
    variant, repeat, trials = cell
    done, offset_s = so_far
    gathered = _Cell()
    job = CellJob(plan.plans[variant], trials, plan.ends[variant], plan.pinning)
    listener = _Listener(plan, job, gathered, on_progress, done)
    run_in_sandbox(INSIDE, to_wire(job), listener.take)
    if len(gathered.outcomes) != len(trials):
        raise RunFailed(f"{len(gathered.outcomes)} of {len(trials)} trials reported back")
    return FinishedCell(
        _cell_record(plan.plans[variant], variant, repeat, gathered),
        tuple((trial, outcome, offset_s) for trial, outcome in gathered.outcomes),
    )


class _Listener:
    """Turns a cell's events into progress and outcomes."""

    def __init__(
        self, plan: RunPlan, job: CellJob, gathered: _Cell, on_progress: OnProgress, done: int
    ) -> None:
        self._total = len(plan.trials)
        self._gathered = gathered
        self._on_progress = on_progress
        self._done = done
        self._trials = {trial.index: trial for trial in job.trials}
        first = job.trials[0]
        self._cell = f"repeat {first.repeat + 1}{f', {first.variant}' if first.variant else ''}"

    def take(self, event: Json) -> None:
        """Take one event."""
        kind = event["event"]
        if kind == "stage":
            self._say(f"{self._cell}: building: {event['name']}")
        elif kind == "built":
            self._gathered.datapath_type = event["datapath_type"]
            self._gathered.seconds = event["seconds"]
            self._gathered.warnings = tuple(event["warnings"])
        elif kind == "trial-begins":
            trial = self._trials[event["index"]]
            self._say(f"{self._cell}: {trial.workload.name} {trial.protocol} {trial.path}")
        elif kind == "trial":
            self._take_outcome(self._trials[event["index"]], unpacked(event["outcome"]))

    def _take_outcome(self, trial: PlannedTrial, outcome: TrialOutcome) -> None:
        self._gathered.outcomes.append((trial, outcome))
        self._done += 1
        if outcome.error:
            self._say(
                f"{self._cell}: {trial.workload.name} {trial.protocol} {trial.path} FAILED: {outcome.error}"
            )

    def _say(self, doing: str) -> None:
        failed = sum(bool(outcome.error) for _, outcome in self._gathered.outcomes)
        self._on_progress(Progress(self._done, self._total, doing, failed))


def _cell_record(plan: ClusterPlan, variant: str, repeat: int, gathered: _Cell) -> CellRecord:
    return CellRecord(
        variant=variant,
        repeat=repeat,
        datapath_type=gathered.datapath_type,
        build_s=sum(gathered.seconds.values()),
        nodes=len(plan.state.nodes),
        pods=len(plan.state.pods),
        services=len(plan.state.services),
        mtu_bytes=plan.state.network.mtu_bytes,
        warnings=gathered.warnings,
    )


def _pod_offloads(datapath_types: Collection[str]) -> str:
    """Return what Pods leave to their interfaces: a switch in user space sees packets before those do."""
    if "netdev" not in datapath_types:
        return "the kernel's defaults"
    where = "" if len(datapath_types) == 1 else " where Open vSwitch forwards in user space"
    return f"transmit checksums off{where or ' (user-space datapath)'}"


def _record(plan: RunPlan, results: _Results, started: datetime, command: Sequence[str]) -> RunRecord:
    experiment = plan.experiment
    pinning = {"client": plan.pinning.client, "server": plan.pinning.server}
    shown = {name: "not pinned" if cpu is None else f"processor {cpu}" for name, cpu in pinning.items()}
    offloads = {
        "Pods": _pod_offloads({cell.datapath_type for cell in results.cells}),
        "raw veth": "the kernel's defaults",
    }
    rows = []
    for trial, outcome, offset_s in results.outcomes:
        row = trial_record(trial, plan.settings[trial.variant], outcome)
        rows.append(_shifted(row, offset_s))
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        experiment=experiment.name,
        description=experiment.description,
        spec=resolved_spec(experiment),
        seed=experiment.spec.seed,
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(command),
        provenance=collect_provenance(ENGINE, shown, offloads=offloads),
        drawing=drawing_of(next(iter(plan.plans.values()))),
        cells=tuple(results.cells),
        trials=tuple(rows),
        warnings=tuple(str(notice) for notice in experiment.manifests.notices),
    )


def _shifted(row: TrialRecord, offset_s: float) -> TrialRecord:
    """Return a row with its start counted from the run's start instead of its cell's."""
    return replace(row, started_s=row.started_s + offset_s)
