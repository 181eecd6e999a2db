"""Everything that is decided about a run before the first namespace is made. Pure.

A cell is one variant in one repeat, on a network built for it alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from testbed.errors import Finding, SpecError
from testbed.measurement.host import Pinning
from testbed.measurement.paths import path_manifests
from testbed.measurement.plan import PlannedTrial, plan_trials
from testbed.measurement.workload import workload_from_spec
from testbed.runner.ends import EndsKey, ends_of_trials
from testbed.runner.job import ClusterPlan, Ends, plan_cluster
from testbed.runner.pinning import choose_pinning
from testbed.spec.experiment import ExperimentSpec
from testbed.spec.load import Experiment, Variant, joined, parse_manifests
from testbed.spec.manifests import Manifests
from testbed.spec.sweep import told_once

Decided = TypeVar("Decided")


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Everything decided before the first namespace is made. `plans` and `settings` are by variant label."""

    experiment: Experiment
    plans: Mapping[str, ClusterPlan]
    settings: Mapping[str, Mapping[str, str | int | float | bool]]
    trials: tuple[PlannedTrial, ...]
    ends: Mapping[str, Mapping[EndsKey, Ends]]
    pinning: Pinning

    def cells(self) -> list[tuple[str, int, tuple[PlannedTrial, ...]]]:
        """Return (variant, repeat, trials) in the order of the run."""
        grouped = groupby(self.trials, key=lambda trial: (trial.variant, trial.repeat))
        return [(variant, repeat, tuple(trials)) for (variant, repeat), trials in grouped]


def plan_run(experiment: Experiment) -> RunPlan:
    """Decide everything about a run.

    Raises:
        SpecError, CapacityError: a variant asks for something that cannot be.
        CapabilityMissing: a processor to pin to is not there.
    """
    plans = _each_variant(experiment, lambda variant: _plan_variant(variant.spec, experiment.manifests))
    spec = experiment.spec
    trials = plan_trials(
        {
            variant.label: [workload_from_spec(measurement) for measurement in variant.spec.measurements]
            for variant in experiment.variants
        },
        repeats=spec.repeats,
        seed=spec.seed,
    )
    trials_of = defaultdict[str, list[PlannedTrial]](list)
    for trial in trials:
        trials_of[trial.variant].append(trial)
    ends = _each_variant(
        experiment,
        lambda variant: ends_of_trials(
            plans[variant.label], trials_of[variant.label], variant.spec, experiment.file
        ),
    )
    return RunPlan(
        experiment=experiment,
        plans=plans,
        settings={variant.label: variant.settings for variant in experiment.variants},
        trials=trials,
        ends=ends,
        pinning=choose_pinning(spec.pinning),
    )


def _each_variant(experiment: Experiment, decide: Callable[[Variant], Decided]) -> dict[str, Decided]:
    """Return what is decided about each variant, by its label.

    Raises:
        SpecError: with the findings of all variants; those without a place are the experiment's.
    """
    made, found = dict[str, Decided](), dict[str, list[Finding]]()
    for variant in experiment.variants:
        found[variant.label] = []
        try:
            made[variant.label] = decide(variant)
        except SpecError as error:
            found[variant.label] += [variant.placed(each) for each in error.findings]
    if any(found.values()):
        raise SpecError(told_once(found))
    return made


def _plan_variant(spec: ExperimentSpec, manifests: Manifests) -> ClusterPlan:
    parts = [manifests]
    needs_paths = any(measurement.target is None for measurement in spec.measurements)
    if needs_paths or spec.services:
        names = [node.name for node in spec.cluster.nodes]
        parts.append(parse_manifests(path_manifests(names, spec.services)))
    return plan_cluster(spec.cluster, joined(*parts))
