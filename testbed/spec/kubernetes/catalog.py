"""Which kinds there are: built, accepted because they have no bearing on networking, or not supported.

A kind outside these tables is an error; so is a known kind under an apiVersion that never had it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from testbed.spec.kubernetes.nodes import Namespace, Node
from testbed.spec.kubernetes.pods import Pod
from testbed.spec.kubernetes.services import Service
from testbed.spec.kubernetes.slices import EndpointSlice
from testbed.spec.kubernetes.workloads import DaemonSet, Deployment, ReplicaSet, StatefulSet
from testbed.spec.problem import KeyPath, Problem, listing, nearest, refuse_if_any, shortened

AnyObject: TypeAlias = (
    Namespace | Node | Pod | Deployment | ReplicaSet | DaemonSet | StatefulSet | Service | EndpointSlice
)

OWN_API_VERSION = "testbed/v1alpha1"
OWN_KINDS = ("Experiment", "Cluster", "Topology")

BUILT: Mapping[str, tuple[str, type[AnyObject]]] = MappingProxyType(
    {
        "Namespace": ("v1", Namespace),
        "Node": ("v1", Node),
        "Pod": ("v1", Pod),
        "Service": ("v1", Service),
        "Deployment": ("apps/v1", Deployment),
        "ReplicaSet": ("apps/v1", ReplicaSet),
        "DaemonSet": ("apps/v1", DaemonSet),
        "StatefulSet": ("apps/v1", StatefulSet),
        "EndpointSlice": ("discovery.k8s.io/v1", EndpointSlice),
    }
)
"""Kinds that the testbed builds: their apiVersion and model."""


def _kinds(table: str) -> Mapping[str, str]:
    rows = (line.split() for line in table.strip().splitlines())
    return MappingProxyType({kind: group for group, *kinds in rows for kind in kinds})


WITHOUT_BEARING = _kinds(
    """
    core ConfigMap Secret ServiceAccount PersistentVolumeClaim PersistentVolume LimitRange ResourceQuota Event
    core PodTemplate ComponentStatus Binding
    apps ControllerRevision
    rbac.authorization.k8s.io Role RoleBinding ClusterRole ClusterRoleBinding
    storage.k8s.io StorageClass CSIDriver CSINode CSIStorageCapacity VolumeAttachment VolumeAttributesClass
    apiextensions.k8s.io CustomResourceDefinition
    apiregistration.k8s.io APIService
    autoscaling HorizontalPodAutoscaler
    policy PodDisruptionBudget PodSecurityPolicy
    batch Job CronJob
    scheduling.k8s.io PriorityClass
    coordination.k8s.io Lease
    node.k8s.io RuntimeClass
    certificates.k8s.io CertificateSigningRequest
    flowcontrol.apiserver.k8s.io FlowSchema PriorityLevelConfiguration
    admissionregistration.k8s.io ValidatingWebhookConfiguration MutatingWebhookConfiguration
    admissionregistration.k8s.io ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
    """
)
"""Kinds that are accepted and left out: to their API group."""

NETWORKING = _kinds(
    """
    core Endpoints ReplicationController
    networking.k8s.io NetworkPolicy Ingress IngressClass IPAddress ServiceCIDR
    policy.networking.k8s.io ClusterNetworkPolicy AdminNetworkPolicy BaselineAdminNetworkPolicy
    gateway.networking.k8s.io Gateway GatewayClass HTTPRoute GRPCRoute TCPRoute TLSRoute UDPRoute
    gateway.networking.k8s.io ReferenceGrant BackendTLSPolicy ListenerSet
    """
)
"""Kinds with bearing on networking that the testbed does not support: to their API group."""

_REPLACED = frozenset({"apps/v1beta1", "apps/v1beta2", "extensions/v1beta1", "discovery.k8s.io/v1beta1"})


def model_of(api_version: str, kind: str) -> type[AnyObject] | None:
    """Return the model of a kind, or None for a kind that is accepted and left out.

    Raises:
        RefusedError: there is no such kind, or it is not supported, or not in this apiVersion.
    """
    if kind in BUILT:
        wanted, model = BUILT[kind]
        refuse_if_any(_version_problems(api_version, kind, wanted))
        return model
    if kind in NETWORKING:
        refuse_if_any([_problem(f"kind {kind} is not supported", "", "remove it: it bears on networking")])
    if kind not in WITHOUT_BEARING:
        refuse_if_any([_unknown_kind(api_version, kind)])
    if group_of(api_version) != WITHOUT_BEARING[kind]:
        what = f"kind {kind} is not part of '{shortened(api_version)}'"
        refuse_if_any([_problem(what, f"its API group is {WITHOUT_BEARING[kind]}", "", ("apiVersion",))])
    return None


def group_of(api_version: str) -> str:
    """Return the API group of an apiVersion; "core" for v1."""
    group, slash, _ = api_version.rpartition("/")
    return group if slash else "core"


def _version_problems(api_version: str, kind: str, wanted: str) -> list[Problem]:
    if api_version == wanted:
        return []
    if api_version in _REPLACED:
        what = f"'{api_version}' is an old version of kind {kind}, which the API no longer has"
    else:
        what = f"kind {kind} is not part of '{shortened(api_version)}'"
    return [_problem(what, "", f"write apiVersion: {wanted}", ("apiVersion",))]


def _unknown_kind(api_version: str, kind: str) -> Problem:
    if api_version == OWN_API_VERSION:
        return _problem(
            f"'{shortened(kind)}' is not a kind of {OWN_API_VERSION}",
            listing(OWN_KINDS),
            nearest(kind, OWN_KINDS),
        )
    known = {*BUILT, *NETWORKING, *WITHOUT_BEARING, "List"}
    return _problem(f"'{shortened(kind)}' is not a known kind", "", nearest(kind, known))


def _problem(what: str, allowed: str, fix: str, path: KeyPath = ("kind",)) -> Problem:
    return Problem(what, allowed, fix, path)
