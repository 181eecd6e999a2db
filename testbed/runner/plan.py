"""Everything that is decided about a run before the first namespace is made. Pure.

A cell is one variant in one repeat, on a network built for it alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from testbed.measurement.host import Pinning
from testbed.measurement.paths import path_manifests
from testbed.measurement.plan import PlannedTrial, plan_trials
from testbed.measurement.workload import GIVEN_ENDS, workload_from_spec
from testbed.runner.ends import EndsKey, ends_of_trials
from testbed.runner.job import ClusterPlan, Ends, plan_cluster
from testbed.runner.pinning import choose_pinning
from testbed.spec.experiment import ExperimentSpec
from testbed.spec.load import Experiment, joined, parse_manifests
from testbed.spec.manifests import Manifests


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
    plans = {
        variant.label: _plan_variant(variant.spec, experiment.manifests) for variant in experiment.variants
    }
    spec = experiment.spec
    trials = plan_trials(
        [workload_from_spec(measurement) for measurement in spec.measurements],
        [variant.label for variant in experiment.variants],
        repeats=spec.repeats,
        seed=spec.seed,
    )
    measurements = {measurement.name: measurement for measurement in spec.measurements}
    ends = {
        label: ends_of_trials(
            plan, [trial for trial in trials if trial.variant == label], measurements, experiment.file
        )
        for label, plan in plans.items()
    }
    return RunPlan(
        experiment=experiment,
        plans=plans,
        settings={variant.label: variant.settings for variant in experiment.variants},
        trials=trials,
        ends=ends,
        pinning=choose_pinning(spec.pinning),
    )


def _plan_variant(spec: ExperimentSpec, manifests: Manifests) -> ClusterPlan:
    parts = [manifests]
    if any(GIVEN_ENDS not in workload_from_spec(measurement).paths for measurement in spec.measurements):
        parts.append(parse_manifests(path_manifests([node.name for node in spec.cluster.nodes])))
    return plan_cluster(spec.cluster, joined(*parts))
