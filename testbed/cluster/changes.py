"""Changes to a cluster that is already there, each at the cost of what it touches.

Owns what one Pod's coming, going or change of condition means for EndpointSlices and addresses. A Service
that does not select the Pod keeps its very slices (`is`). What remains in proportion to the cluster is one
shallow copy of a mapping.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from testbed.cluster.draft import PodDraft
from testbed.cluster.endpoints import all_slices_for, keeping_identity
from testbed.cluster.index import index_of, services_selecting, with_pod, without_pod
from testbed.cluster.ipam import take_pod_addresses
from testbed.cluster.pods import pod_of
from testbed.cluster.scheduler import Load, Placement, place
from testbed.cluster.state import ClusterIndex, ClusterState, PodPhase, PodState, ServiceState
from testbed.errors import UsageError


@dataclass(frozen=True, slots=True)
class Change:
    """A new state; by `namespace/name`, the Services whose slices differ and the Pods that differ."""

    state: ClusterState
    services: frozenset[str] = frozenset()
    pods: frozenset[str] = frozenset()


def set_pod_ready(state: ClusterState, pod: str, ready: bool) -> Change:
    """Set a Pod's Ready condition.

    Args:
        state: the cluster as it is.
        pod: `namespace/name`.
        ready: the new condition.

    Raises:
        UsageError: no such Pod, or it is Pending.
    """
    return _replace_pod(state, replace(_running_pod(state, pod), ready=ready))


def set_pod_terminating(state: ClusterState, pod: str) -> Change:
    """Ask a Pod to end: it keeps running, and its endpoints terminate.

    Raises:
        UsageError: no such Pod, or it is Pending.
    """
    return _replace_pod(state, replace(_running_pod(state, pod), terminating=True))


def add_pod(state: ClusterState, draft: PodDraft) -> Change:
    """Place a new Pod and give it the lowest free address of its node.

    Raises:
        UsageError: there is a Pod of that name.
        CapacityError: the node's podCIDR has no address left.
    """
    name = draft.qualified_name
    if name in state.pods:
        raise UsageError(f"there is a Pod {name} already", fix="delete it first, or use another name")
    index = index_of(state)
    placement = place(draft, state.nodes, _load(index, draft))
    pod, index = _start(draft, placement, index)
    added = replace(state, pods={**state.pods, name: pod}, index=index)
    return _update_slices(added, pod, is_gone=False)


def delete_pod(state: ClusterState, pod: str) -> Change:
    """Remove a Pod; its address is free again. Its controller, if any, does not replace it.

    Raises:
        UsageError: no such Pod.
    """
    gone = _pod(state, pod)
    pods = dict(state.pods)
    del pods[pod]
    index = index_of(state)
    if gone.phase is PodPhase.RUNNING:
        index = without_pod(index, gone)
    return _update_slices(replace(state, pods=pods, index=index), gone, is_gone=True)


def _pod(state: ClusterState, name: str) -> PodState:
    pod = state.pods.get(name)
    if pod is None:
        raise UsageError(f"there is no Pod {name}", fix="name it as namespace/name")
    return pod


def _running_pod(state: ClusterState, name: str) -> PodState:
    pod = _pod(state, name)
    if pod.phase is PodPhase.PENDING:
        raise UsageError(f"Pod {name} is Pending: {pod.reason}")
    return pod


def _load(index: ClusterIndex, draft: PodDraft) -> Load:
    owned = index.nodes_by_owner.get(draft.owner, ()) if draft.owner else ()
    return Load({node: len(pods) for node, pods in index.pods_by_node.items()}, Counter(owned))


def _start(draft: PodDraft, placement: Placement, index: ClusterIndex) -> tuple[PodState, ClusterIndex]:
    if not placement.node:
        return pod_of(draft, placement, ()), index
    addresses, pools = take_pod_addresses(index.pools[placement.node], placement.node, draft.qualified_name)
    pod = pod_of(draft, placement, addresses)
    return pod, with_pod(index, pod, pools)


def _replace_pod(state: ClusterState, pod: PodState) -> Change:
    if state.pods[pod.qualified_name] == pod:
        return Change(state)
    changed = replace(state, pods={**state.pods, pod.qualified_name: pod}, index=index_of(state))
    return _update_slices(changed, pod, is_gone=False)


def _update_slices(state: ClusterState, pod: PodState, *, is_gone: bool) -> Change:
    """Bring the slices of the Services that select a Pod up to date with `state.pods`."""
    touched = {}
    for service in services_selecting(state.services, index_of(state), pod):
        name = service.qualified_name
        before = state.slices[name]
        members = _members(state, service) - {pod.qualified_name}
        if not is_gone:
            members |= {pod.qualified_name}
        selected = (state.pods[member] for member in sorted(members))
        fresh = keeping_identity(all_slices_for(service, selected, state.manual_slices.get(name, ())), before)
        if fresh is not before:
            touched[name] = fresh
    after = replace(state, slices={**state.slices, **touched}) if touched else state
    return Change(after, frozenset(touched), frozenset({pod.qualified_name}))


def _members(state: ClusterState, service: ServiceState) -> frozenset[str]:
    """Return the Pods in a Service's generated slices; one that is selected but left out stays left out."""
    manual = {found.name for found in state.manual_slices.get(service.qualified_name, ())}
    return frozenset(
        endpoint.target.qualified_name
        for found in state.slices[service.qualified_name]
        if found.name not in manual
        for endpoint in found.endpoints
        if endpoint.target is not None
    )
