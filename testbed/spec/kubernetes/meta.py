"""ObjectMeta and the base of all Kubernetes objects.

Annotations and labels that change how traffic flows are refused here, because an annotation nobody reads
would otherwise fail open.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from testbed.spec.kubernetes.names import (
    Annotations,
    DnsLabel,
    DnsSubdomain,
    Labels,
    OptionalDnsLabel,
    OptionalDnsSubdomain,
)
from testbed.spec.model import SpecModel, words
from testbed.spec.problem import Problem, refuse_if_any, refused
from testbed.spec.values import NotSupported, Text

_HANDLED_BY_THE_SERVER = words(
    """creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generation managedFields
    ownerReferences resourceVersion selfLink uid"""
)

NETWORKING_ANNOTATIONS = {
    "service.kubernetes.io/topology-mode": "topology-aware routing",
    "service.kubernetes.io/topology-aware-hints": "topology-aware routing",
    "kubernetes.io/ingress-bandwidth": "shaping a Pod's traffic",
    "kubernetes.io/egress-bandwidth": "shaping a Pod's traffic",
    "k8s.v1.cni.cncf.io/networks": "a second network for a Pod",
}
NETWORKING_LABELS = {"service.kubernetes.io/service-proxy-name": "another service proxy"}
_SAME_AS_ABSENT = frozenset({"", "disabled", "Disabled"})


def _check_annotations(annotations: dict[str, str]) -> dict[str, str]:
    refuse_if_any(_unsupported(annotations, NETWORKING_ANNOTATIONS))
    return annotations


def _check_labels(labels: dict[str, str]) -> dict[str, str]:
    refuse_if_any(_unsupported(labels, NETWORKING_LABELS))
    return labels


def _unsupported(given: dict[str, str], known: dict[str, str]) -> list[Problem]:
    return [
        Problem(f"{known[key]} is not supported", "", "remove this entry", (key,), at_key=True)
        for key in sorted(known.keys() & given.keys())
        if given[key] not in _SAME_AS_ABSENT
    ]


class TemplateMeta(SpecModel):
    """metadata of a Pod template: its name and namespace come from the workload."""

    without_bearing: ClassVar[frozenset[str]] = _HANDLED_BY_THE_SERVER

    name: OptionalDnsSubdomain = ""
    namespace: OptionalDnsLabel = ""
    generate_name: NotSupported = None
    labels: Annotated[Labels, AfterValidator(_check_labels)] = Field(default_factory=dict)
    annotations: Annotated[Annotations, AfterValidator(_check_annotations)] = Field(default_factory=dict)


def _no_namespace(value: object) -> None:
    if value:
        raise refused("an object of this kind belongs to no namespace", "", "remove it")


class ClusterMeta(TemplateMeta):
    """metadata of an object without namespace. A given namespace is refused."""

    name: DnsSubdomain
    namespace: Annotated[None, BeforeValidator(_no_namespace)] = None  # type: ignore[assignment]  # the same key with another rule


class ObjectMeta(TemplateMeta):
    """metadata of a namespaced object. `namespace` defaults to "default"."""

    name: DnsSubdomain
    namespace: DnsLabel = "default"


class KubernetesObject(SpecModel):
    """What all objects share. `status` is the server's to write, so it is left out."""

    without_bearing: ClassVar[frozenset[str]] = frozenset({"status"})

    api_version: Text
    kind: Text
