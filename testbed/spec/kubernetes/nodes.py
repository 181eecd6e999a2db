"""Node and Namespace. The nodes themselves come from kind: Cluster; a Node manifest adds to one of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from testbed.spec.kubernetes.meta import ClusterMeta, KubernetesObject
from testbed.spec.kubernetes.names import (
    LABEL_KEY_RULE,
    LABEL_VALUE_RULE,
    DnsLabel,
    QuotedText,
    is_label_key,
    is_label_value,
)
from testbed.spec.model import SpecModel, words
from testbed.spec.problem import refused, shortened
from testbed.spec.values import Flag, NotSupported, Text, one_of

TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def _taint_key(key: str) -> str:
    if not is_label_key(key):
        raise refused(f"'{shortened(key)}' is not a valid taint key", LABEL_KEY_RULE)
    return key


def _taint_value(value: str) -> str:
    if not is_label_value(value):
        raise refused(f"'{shortened(value)}' is not a valid taint value", LABEL_VALUE_RULE)
    return value


class Taint(SpecModel):
    """A taint of a Node."""

    without_bearing: ClassVar[frozenset[str]] = words("timeAdded")

    key: Annotated[QuotedText, AfterValidator(_taint_key)]
    value: Annotated[QuotedText, AfterValidator(_taint_value)] = ""
    effect: Annotated[Text, one_of(TAINT_EFFECTS)]


class NodeSpec(SpecModel):
    """spec of a Node. Its podCIDR is not the manifest's to say: the cluster carves it."""

    without_bearing: ClassVar[frozenset[str]] = words("configSource externalID providerID")

    unschedulable: Flag = False
    taints: tuple[Taint, ...] = ()
    pod_cidr: NotSupported = Field(default=None, alias="podCIDR")
    pod_cidrs: NotSupported = Field(default=None, alias="podCIDRs")


class Node(KubernetesObject):
    """A Node."""

    kind: Literal["Node"]
    metadata: ClusterMeta
    spec: NodeSpec = Field(default_factory=NodeSpec)


class NamespaceMeta(ClusterMeta):
    """metadata of a Namespace: its name becomes a DNS label."""

    name: DnsLabel


class Namespace(KubernetesObject):
    """A Namespace."""

    without_bearing: ClassVar[frozenset[str]] = words("spec status")

    kind: Literal["Namespace"]
    metadata: NamespaceMeta
