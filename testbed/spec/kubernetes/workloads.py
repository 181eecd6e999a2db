"""The workload kinds of apps/v1: Deployment, ReplicaSet, DaemonSet, StatefulSet."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, Field, model_validator

from testbed.spec.kubernetes.meta import KubernetesObject, ObjectMeta, TemplateMeta
from testbed.spec.kubernetes.names import OptionalDnsLabel
from testbed.spec.kubernetes.pods import PodSpec
from testbed.spec.kubernetes.selectors import LabelSelector, check_selector
from testbed.spec.model import SpecModel, words
from testbed.spec.problem import refused
from testbed.spec.values import Whole, between

Replicas = Annotated[Whole, between(0, 100_000, "a number of replicas")]


def _restarts_always(spec: PodSpec) -> PodSpec:
    # "Only a .spec.template.spec.restartPolicy equal to Always is allowed" (apps/v1)
    if spec.restart_policy != "Always":
        what = f"'{spec.restart_policy}' in the template of a workload"
        raise refused(what, "only Always is allowed", "remove restartPolicy", ("restartPolicy",))
    return spec


class PodTemplate(SpecModel):
    """What each Pod of a workload is made from."""

    metadata: TemplateMeta = Field(default_factory=TemplateMeta)
    spec: Annotated[PodSpec, AfterValidator(_restarts_always)]


class WorkloadSpec(SpecModel):
    """What the four kinds share. The selector must select the template's labels."""

    selector: LabelSelector
    template: PodTemplate


Spec = TypeVar("Spec", bound=WorkloadSpec)


def _selects_its_template(spec: Spec) -> Spec:
    check_selector(spec.selector, spec.template.metadata.labels)
    return spec


class DeploymentSpec(WorkloadSpec):
    """spec of a Deployment."""

    without_bearing: ClassVar[frozenset[str]] = words(
        "minReadySeconds paused progressDeadlineSeconds revisionHistoryLimit strategy"
    )

    replicas: Replicas = 1


class ReplicaSetSpec(WorkloadSpec):
    """spec of a ReplicaSet."""

    without_bearing: ClassVar[frozenset[str]] = words("minReadySeconds")

    replicas: Replicas = 1


class DaemonSetSpec(WorkloadSpec):
    """spec of a DaemonSet: one Pod on every eligible node."""

    without_bearing: ClassVar[frozenset[str]] = words("minReadySeconds revisionHistoryLimit updateStrategy")


class Ordinals(SpecModel):
    """Where a StatefulSet begins to count."""

    start: Annotated[Whole, between(0, 1_000_000, "an ordinal")] = 0

    @model_validator(mode="after")
    def _start_at_zero(self) -> Ordinals:
        # The ordinal is part of a Pod's name, hence of its DNS name.
        if self.start:
            raise refused(
                "a first ordinal other than 0 is not supported", "only 0 is", "remove it", ("start",)
            )
        return self


class StatefulSetSpec(WorkloadSpec):
    """spec of a StatefulSet."""

    without_bearing: ClassVar[frozenset[str]] = words(
        """minReadySeconds persistentVolumeClaimRetentionPolicy podManagementPolicy revisionHistoryLimit
        updateStrategy volumeClaimTemplates"""
    )

    replicas: Replicas = 1
    service_name: OptionalDnsLabel = ""
    ordinals: Ordinals = Field(default_factory=Ordinals)


class Deployment(KubernetesObject):
    """A Deployment."""

    kind: Literal["Deployment"]
    metadata: ObjectMeta
    spec: Annotated[DeploymentSpec, AfterValidator(_selects_its_template)]


class ReplicaSet(KubernetesObject):
    """A ReplicaSet."""

    kind: Literal["ReplicaSet"]
    metadata: ObjectMeta
    spec: Annotated[ReplicaSetSpec, AfterValidator(_selects_its_template)]


class DaemonSet(KubernetesObject):
    """A DaemonSet."""

    kind: Literal["DaemonSet"]
    metadata: ObjectMeta
    spec: Annotated[DaemonSetSpec, AfterValidator(_selects_its_template)]


class StatefulSet(KubernetesObject):
    """A StatefulSet."""

    kind: Literal["StatefulSet"]
    metadata: ObjectMeta
    spec: Annotated[StatefulSetSpec, AfterValidator(_selects_its_template)]
