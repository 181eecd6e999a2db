"""Whether the machine could keep up with the emulation, and what that does to the figures. Pure.

Each check looks at the trials' records and returns findings; each finding names the trials it spoils. The
thresholds are constants with their reasons, so that a reader can disagree with one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from testbed.analysis.axes import settings_by_variant
from testbed.analysis.frames import WITHOUT_BASELINE, protocol_of
from testbed.analysis.statistics import main_rows
from testbed.records.schema import RAW_VETH, HostLoad, RunRecord, TrialRecord, TrialStatus

STOLEN_LIMIT = 0.02
"""A hypervisor that takes 2 % of the time pauses a pinned probe for milliseconds: longer than what is
measured."""

STALLED_LIMIT = 0.25
"""A quarter of the time some task waited for a processor: round trips then hold scheduling delay, not only
packets."""

BUSY_LIMIT = 0.95
"""A request-response probe waits most of the time; with all processors at work it competes with the network
it tests."""

RAW_VETH_VARIATION_LIMIT = 0.25
"""Raw veth runs the same code in every repeat; when it varies by a quarter (standard deviation over mean), it
is the machine that varies."""

FEWEST_REPEATS = 3
"""With two repeats Student's t is 12.7: the interval is wider than any effect. With one there is none."""

SPOILED_SHARE = 0.10
"""A finding that touches more than a tenth of the trials it looks at spoils the run, not single points of
it."""


class Level(StrEnum):
    """How far the figures can be trusted, from well to badly."""

    OK = "ok"
    CAUTION = "caution"
    SPOILED = "spoiled"


@dataclass(frozen=True, slots=True)
class VerdictFinding:
    """One thing to know before quoting a figure; `trials` has the indices of those it spoils."""

    level: Level
    reason: str
    trials: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to think of the run as a whole: the worst level of its findings, worst first."""

    level: Level
    findings: tuple[VerdictFinding, ...]


NumberedTrials = Sequence[tuple[int, TrialRecord]]
"""Trials with their index in RunRecord.trials."""


def judge(record: RunRecord, per_repeat: pd.DataFrame) -> Verdict:
    """Return the verdict on a run.

    Args:
        record: the run.
        per_repeat: as `statistics.repeat_statistics` makes it.
    """
    succeeded = [(i, trial) for i, trial in enumerate(record.trials) if trial.status is TrialStatus.OK]
    findings = [
        *_failures(record),
        *_loads(succeeded),
        *_reference(record, per_repeat, succeeded),
        *_repeats(record, succeeded),
        *_datapath(record),
        *_own_warnings(record),
    ]
    ranks = list(Level)
    findings.sort(key=lambda finding: -ranks.index(finding.level))
    return Verdict(findings[0].level if findings else Level.OK, tuple(findings))


def _failures(record: RunRecord) -> Iterator[VerdictFinding]:
    if not record.trials:
        yield VerdictFinding(Level.SPOILED, "The run has no trials.")
        return
    failed = tuple(i for i, trial in enumerate(record.trials) if trial.status is TrialStatus.FAILED)
    if len(failed) == len(record.trials):
        yield VerdictFinding(Level.SPOILED, "Every trial failed; there is nothing to show.", failed)
    elif failed:
        reason = f"{_count(failed, len(record.trials))} failed and {_verb(failed)} missing from the figures."
        yield VerdictFinding(_graded(failed, len(record.trials)), reason, failed)


@dataclass(frozen=True, slots=True)
class LoadCheck:
    """A limit on what the machine did during a trial; `applies` picks the trials it is about."""

    what: str
    is_bad: Callable[[HostLoad], bool]
    applies: Callable[[TrialRecord], bool]
    worst: Level = Level.SPOILED


def _is_flood(trial: TrialRecord) -> bool:
    """Whether a trial sends as much as it can without heeding loss, so that drops are what it looks for."""
    return trial.type == "throughput" and protocol_of(trial) == "UDP"


def _is_work(trial: TrialRecord) -> bool:
    """Whether a trial itself keeps processors at work, instead of waiting for answers most of the time."""
    return trial.type in {"throughput", "programming"}


LOAD_CHECKS = (
    LoadCheck(
        f"the hypervisor took away more than {100 * STOLEN_LIMIT:g} % of the processor time: "
        "times are too long, rates too low",
        lambda load: load.stolen > STOLEN_LIMIT,
        lambda trial: True,
    ),
    LoadCheck(
        f"the processors were more than {100 * BUSY_LIMIT:g} % busy: the probe competed with the network",
        lambda load: load.busy > BUSY_LIMIT,
        lambda trial: not _is_work(trial),
    ),
    LoadCheck(
        f"tasks waited for a processor more than {100 * STALLED_LIMIT:g} % of the time: results include that",
        lambda load: load.stalled > STALLED_LIMIT,
        lambda trial: trial.type != "throughput",
        Level.CAUTION,
    ),
    LoadCheck(
        "the kernel's packet backlog overflowed and packets were dropped",
        lambda load: load.packets_dropped > 0,
        lambda trial: not _is_flood(trial),
    ),
    LoadCheck(
        "the kernel's packet backlog overflowed: more UDP was sent than this machine can carry",
        lambda load: load.packets_dropped > 0,
        _is_flood,
        Level.CAUTION,
    ),
)


def _loads(succeeded: NumberedTrials) -> Iterator[VerdictFinding]:
    for check in LOAD_CHECKS:
        trials = [(i, trial) for i, trial in succeeded if check.applies(trial)]
        spoiled = tuple(i for i, t in trials if t.host_load is not None and check.is_bad(t.host_load))
        if spoiled:
            level = min(_graded(spoiled, len(trials)), check.worst, key=list(Level).index)
            among = "" if len(trials) == len(succeeded) else " that this matters to"
            told = _count(spoiled, len(trials), among)
            yield VerdictFinding(level, f"During {told}, {check.what}.", spoiled)
    unknown = tuple(i for i, trial in succeeded if trial.host_load is None)
    if unknown:
        reason = f"Nothing is known about the load of the machine during {_count(unknown, len(succeeded))}."
        yield VerdictFinding(Level.CAUTION, reason, unknown)


def _reference(
    record: RunRecord, per_repeat: pd.DataFrame, succeeded: NumberedTrials
) -> Iterator[VerdictFinding]:
    for (measurement, protocol), found in _unsteady(per_repeat).items():
        what = " ".join(part for part in (measurement, protocol) if part)
        if len(found) > 1:
            what = f"{what}; {len(found)} of {len({t.variant for _, t in succeeded})} variants"
        elif "" not in found:
            what = f"{what} {next(iter(found))}"
        up_to = "up to " if len(found) > 1 else ""
        reason = (
            f"Raw veth itself varied by {up_to}{_percent(max(found.values()))} between repeats ({what}): "
            "the machine was not steady, so compare within a repeat only."
        )
        trials = [i for variant in found for i in _trials_of(succeeded, measurement, protocol, variant)]
        yield VerdictFinding(Level.CAUTION, reason, tuple(sorted(trials)))
    lonely = _without_reference(succeeded)
    if lonely:
        reason = (
            f"{_count(lonely, len(succeeded))} {_verb(lonely)} without raw veth in the same repeat: no ratio."
        )
        yield VerdictFinding(Level.CAUTION, reason, lonely)


def _unsteady(per_repeat: pd.DataFrame) -> dict[tuple[str, str], dict[str, float]]:
    """Return the variation of raw veth by measurement, protocol and variant, where it is too much."""
    main = main_rows(per_repeat)
    raw = main.loc[main["path"].astype(str) == RAW_VETH]
    found: dict[tuple[str, str], dict[str, float]] = {}
    for (measurement, protocol, variant), group in raw.groupby(
        ["measurement", "protocol", "variant"], observed=True
    ):
        variation = float(group["value"].std(ddof=1) / group["value"].mean())
        if variation > RAW_VETH_VARIATION_LIMIT:
            found.setdefault((str(measurement), str(protocol)), {})[str(variant)] = variation
    return found


def _trials_of(trials: NumberedTrials, measurement: str, protocol: str, variant: str) -> tuple[int, ...]:
    wanted = (measurement, protocol, variant)
    return tuple(i for i, t in trials if (t.measurement, protocol_of(t), t.variant) == wanted)


def _without_reference(trials: NumberedTrials) -> tuple[int, ...]:
    def cell(trial: TrialRecord) -> tuple[str, str, str, int]:
        return trial.measurement, protocol_of(trial), trial.variant, trial.repeat

    with_reference = {cell(trial) for _, trial in trials if trial.path == RAW_VETH}
    return tuple(
        i for i, trial in trials if trial.type not in WITHOUT_BASELINE and cell(trial) not in with_reference
    )


def _repeats(record: RunRecord, succeeded: NumberedTrials) -> Iterator[VerdictFinding]:
    repeats: dict[tuple[str, ...], set[int]] = {}
    for _, trial in succeeded:
        key = (trial.measurement, protocol_of(trial), trial.variant, trial.path)
        repeats.setdefault(key, set()).add(trial.repeat)
    fewest = min((len(found) for found in repeats.values()), default=FEWEST_REPEATS)
    planned = len({trial.repeat for trial in record.trials})
    if planned < FEWEST_REPEATS:
        interval = "no confidence interval" if planned < 2 else "a confidence interval too wide to be of use"
        times = "once" if planned == 1 else f"{planned} times"
        yield VerdictFinding(Level.CAUTION, f"Everything was measured {times}: there is {interval}.")
    elif fewest < FEWEST_REPEATS:
        reason = (
            f"Some combinations have fewer than {FEWEST_REPEATS} good repeats: their interval says little."
        )
        yield VerdictFinding(Level.CAUTION, reason)


def _datapath(record: RunRecord) -> Iterator[VerdictFinding]:
    user_space = {cell.variant for cell in record.cells if cell.datapath_type == "netdev"}
    others = {cell.variant for cell in record.cells} - user_space
    if user_space and others:
        which = _which(record, user_space)
        reason = (
            f"Open vSwitch forwarded in user space (netdev), without DPDK, with {which}, "
            "and the kernel forwarded with the rest: a difference between the two is first of all that one."
        )
        yield VerdictFinding(Level.CAUTION, reason)
    elif user_space:
        yield VerdictFinding(
            Level.CAUTION,
            "Absolute figures are those of a user-space datapath (Open vSwitch netdev) without DPDK: "
            "quote ratios, not microseconds or Gbit/s.",
        )


def _which(record: RunRecord, chosen: Set[str]) -> str:
    """Return what a set of variants has and no other: "dataplane ovs", or how many they are."""
    settings = settings_by_variant(record)
    for key in sorted({key for values in settings.values() for key in values}):
        here = {str(settings[variant].get(key)) for variant in settings if variant in chosen}
        elsewhere = {str(settings[variant].get(key)) for variant in settings if variant not in chosen}
        if not here & elsewhere:
            return f"{key.rpartition('.')[2]} {' and '.join(sorted(here))}"
    return f"{len(chosen)} of {len(settings)} variants"


def _own_warnings(record: RunRecord) -> Iterator[VerdictFinding]:
    texts = [*record.warnings, *(warning for cell in record.cells for warning in cell.warnings)]
    for text in dict.fromkeys(texts):
        yield VerdictFinding(Level.CAUTION, text)


def _graded(spoiled: Sequence[int], total: int) -> Level:
    return Level.SPOILED if len(spoiled) > SPOILED_SHARE * total else Level.CAUTION


def _count(trials: Sequence[int], total: int, among: str = "") -> str:
    return (
        f"{len(trials)} of {total} trials{among} ({_percent(len(trials) / total)})"
        if total > 1
        else "the only trial"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _verb(trials: Sequence[int]) -> str:
    return "is" if len(trials) == 1 else "are"
