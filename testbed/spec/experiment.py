"""kind: Experiment: a cluster, manifests, what to measure, what to sweep.

The files that an experiment names are joined by `testbed.spec.load`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from testbed.spec.cluster import ClusterSpec
from testbed.spec.kubernetes.names import DnsLabel, Labels
from testbed.spec.measurement import (
    GENERATED_PATHS,
    OTHER_NODE_PATHS,
    PATHS_OF_TYPE,
    RAW_VETH,
    MeasurementSpec,
)
from testbed.spec.model import SpecModel, repeated
from testbed.spec.problem import Problem, described, refuse_if_any, refused
from testbed.spec.values import Text, Whole, between

MOST_VARIANTS = 500
"""How many variants a sweep may come to."""

MOST_SERVICES = 20_000
"""How many Services may be generated for an experiment."""

Setting = str | int | float | bool


def _processor(value: object) -> object:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if value == "auto" or (is_number and 0 <= int(str(value)) <= 4095):
        return value
    raise refused(f"{described(value)} is not a processor", "allowed: auto, or a processor's number from 0")


Processor = Annotated[int | Literal["auto"], BeforeValidator(_processor)]


class PinningSpec(SpecModel):
    """Which processor the client and the servers run on; "auto" leaves the choice to the runner."""

    client: Processor = "auto"
    server: Processor = "auto"


def _pinning(value: object) -> object:
    if value == "auto":
        return {}
    if not isinstance(value, dict):
        raise refused(f"{described(value)} is not a pinning", "allowed: auto, or {client: 0, server: 1}")
    return value


class ExperimentSpec(SpecModel):
    """What an experiment does.

    `services` is how many Services the cluster has beside those of the manifests and of the paths. `sweep`
    maps dotted paths into this spec to the values to try, and names of axes to their labels and settings;
    `testbed.spec.sweep` checks and applies it.
    """

    cluster: ClusterSpec = Field(default_factory=ClusterSpec)
    manifests: tuple[Text, ...] = ()
    services: Annotated[Whole, between(0, MOST_SERVICES, "a number of Services")] = 0
    measurements: tuple[MeasurementSpec, ...]
    sweep: dict[Text, object] = Field(default_factory=dict)
    repeats: Annotated[Whole, between(1, 1000, "a number of repeats")] = 3
    seed: Annotated[Whole, between(0, 2**63 - 1, "a seed")] = 1
    pinning: Annotated[PinningSpec, BeforeValidator(_pinning)] = Field(default_factory=PinningSpec)

    @model_validator(mode="after")
    def _is_sound(self) -> ExperimentSpec:
        refuse_if_any([*_measurement_problems(self), *_node_count_problems(self)])
        return self

    @model_serializer(mode="wrap")
    def _leave_out_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {key: value for key, value in handler(self).items() if value not in ({}, [])}


def _measurement_problems(spec: ExperimentSpec) -> list[Problem]:
    if not spec.measurements:
        return [
            Problem("nothing is measured", "at least one measurement is required", path=("measurements",))
        ]
    problems = [
        Problem(
            f"the name '{spec.measurements[at].name}' stands twice",
            fix="give each measurement its own name",
            path=("measurements", at, "name"),
        )
        for at in repeated(measurement.name for measurement in spec.measurements)
    ]
    again = repeated(spec.manifests)
    return problems + [
        Problem("this file is named twice", fix="remove one", path=("manifests", at)) for at in again
    ]


def _node_count_problems(spec: ExperimentSpec) -> list[Problem]:
    if len(spec.cluster.nodes) > 1:
        return []
    return [
        Problem(
            f"the cluster has one node, and {' and '.join(wanted)} need{'' if wanted[1:] else 's'} a second",
            "",
            f"give the cluster two nodes, or write paths: [{', '.join(_on_one_node(measurement))}]",
            ("measurements", at),
        )
        for at, measurement in enumerate(spec.measurements)
        if (wanted := [path for path in measurement.paths if path in OTHER_NODE_PATHS])
    ]


def _on_one_node(measurement: MeasurementSpec) -> list[str]:
    """Return the paths that a measurement could have on one node."""
    possible = PATHS_OF_TYPE[measurement.type]
    return [path for path in possible if path not in {RAW_VETH, *OTHER_NODE_PATHS, *GENERATED_PATHS}]


def generated_path_problems(spec: ExperimentSpec) -> list[Problem]:
    """Return what is wrong with paths through generated Services where there are none.

    Asked of every variant, not of the experiment itself, whose `services` may be swept.
    """
    if spec.services:
        return []
    is_given = "services" in spec.model_fields_set
    return [
        Problem(
            f"measurement {measurement.name} has the path {path}, and there are no generated Services",
            "",
            "set services to 1 or more, or remove the path",
            ("services",) if is_given else ("measurements", at, "paths", position),
        )
        for at, measurement in enumerate(spec.measurements)
        for position, path in enumerate(measurement.path_names or ())
        if path in GENERATED_PATHS
    ]


class ExperimentMeta(SpecModel):
    """metadata of an Experiment; its name becomes the name of the results folder."""

    name: DnsLabel
    labels: Labels = Field(default_factory=dict)


class ExperimentFile(SpecModel):
    """A file of kind: Experiment."""

    api_version: Text
    kind: Literal["Experiment"]
    metadata: ExperimentMeta
    description: Text = ""
    spec: ExperimentSpec
