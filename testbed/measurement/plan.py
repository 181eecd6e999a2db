"""The order in which a run carries its trials out. Pure; the order follows from the seed alone.

Repeats are outermost, each on a fresh network. Within a repeat the cells (variants) are shuffled, and
within a cell measurements, protocols and paths together, raw veth among them: so slow drift of the machine
falls on all alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from testbed.measurement.workload import Workload

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """One trial to come. `index` counts from 0 in the order of the run, `repeat` from 0."""

    index: int
    variant: str
    repeat: int
    workload: Workload
    protocol: str
    path: str


def plan_trials(
    workloads: Mapping[str, Sequence[Workload]], *, repeats: int, seed: int
) -> tuple[PlannedTrial, ...]:
    """Return all trials in the order of the run: every combination exactly once in each repeat.

    Args:
        workloads: by the label of the cell ("" when nothing is swept), with names that are distinct there.
        repeats: how often each cell is built.
        seed: recorded with the run. The same arguments, in any order, give the same plan.
    """
    ordered = [
        (variant, repeat, *combination)
        for repeat in range(repeats)
        for variant in _shuffled(sorted(workloads), f"{seed}/{repeat}")
        for combination in _shuffled(_combinations(workloads[variant]), f"{seed}/{repeat}/{variant}")
    ]
    return tuple(PlannedTrial(index, *rest) for index, rest in enumerate(ordered))


def _combinations(workloads: Sequence[Workload]) -> list[tuple[Workload, str, str]]:
    return [
        (workload, protocol, path)
        for workload in sorted(workloads, key=lambda workload: workload.name)
        for protocol in sorted(set(workload.protocols))
        for path in sorted(set(workload.paths))
    ]


def _shuffled(things: Sequence[Thing], seed: str) -> list[Thing]:
    """Return the things in an order that the seed's text fixes, the same on every machine."""
    order = list(things)
    Random(seed).shuffle(order)  # noqa: S311  an order, not a secret
    return order
