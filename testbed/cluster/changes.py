"""Changes to a cluster that is already there, each at the cost of what it touches.

Owns what the coming, going or change of condition of one Pod, and the coming and going of one Service, mean
for EndpointSlices and addresses. A Service that does not select the Pod keeps its very slices (`is`). What
remains in proportion to the cluster is a shallow copy of a mapping, and, for a new Service, a look at every
Pod.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from testbed.cluster.draft import PodDraft
from testbed.cluster.endpoints import all_slices_for, keeping_identity
from testbed.cluster.index import index_of, selects, services_selecting, with_pod, without_pod
from testbed.cluster.ipam import take_pod_addresses
from testbed.cluster.pods import pod_of
from testbed.cluster.scheduler import Load, Placement, place
from testbed.cluster.service_addresses import AddressRequest, assign_service_addresses
from testbed.cluster.state import (
    ClusterIndex,
    ClusterState,
    PodPhase,
    PodState,
    SelectorTerm,
    ServiceState,
    ServiceType,
)
from testbed.errors import CapacityError, UsageError
from testbed.inet import IPAddresses


@dataclass(frozen=True, slots=True)
class Change:
    """A new state; by `namespace/name`, the Services that differ or whose slices do, and the Pods that do."""

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


def next_cluster_ips(state: ClusterState, service: str) -> IPAddresses:
    """Return the addresses that a Service of that name (`namespace/name`) gets if it asks for none.

    Costs a look at every Service.

    Raises:
        CapacityError: none is left.
    """
    taken = [AddressRequest(name, other.cluster_ips) for name, other in state.services.items()]
    requests = [*(request for request in taken if request.wanted), AddressRequest(service)]
    return assign_service_addresses(requests, state.network.service_cidrs)[service]


def add_service(state: ClusterState, service: ServiceState) -> Change:
    """Add a Service that has its addresses already; node ports are not compared with those of others.

    Raises:
        UsageError: there is a Service of that name.
        CapacityError: another Service has one of its addresses.
    """
    name, index = service.qualified_name, index_of(state)
    if name in state.services:
        raise UsageError(f"there is a Service {name} already", fix="remove it first, or use another name")
    for address in service.cluster_ips:
        if address in index.services_by_address:
            raise CapacityError(
                f"ClusterIP {address} belongs to Service {index.services_by_address[address]}"
            )
    slices = state.slices
    if service.type is not ServiceType.EXTERNAL_NAME:
        selected = (pod for _, pod in sorted(state.pods.items()) if selects(service, pod))
        slices = {**slices, name: all_slices_for(service, selected, state.manual_slices.get(name, ()))}
    services = {**state.services, name: service}
    added = replace(state, services=services, slices=slices, index=_with_service(index, service))
    return Change(added, frozenset({name}))


def remove_service(state: ClusterState, service: str) -> Change:
    """Remove a Service (`namespace/name`) and its EndpointSlices; its addresses are free again.

    Raises:
        UsageError: no such Service.
    """
    gone = state.services.get(service)
    if gone is None:
        raise UsageError(f"there is no Service {service}", fix="name it as namespace/name")
    services, slices = dict(state.services), dict(state.slices)
    del services[service]
    slices.pop(service, None)
    removed = replace(state, services=services, slices=slices, index=_without_service(index_of(state), gone))
    return Change(removed, frozenset({service}))


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


def _with_service(index: ClusterIndex, service: ServiceState) -> ClusterIndex:
    name, by_term = service.qualified_name, index.services_by_term
    if service.selector:
        term = _term(service)
        by_term = {**by_term, term: tuple(sorted((*by_term.get(term, ()), name)))}
    by_address = {**index.services_by_address, **dict.fromkeys(service.cluster_ips, name)}
    return replace(index, services_by_term=by_term, services_by_address=by_address)


def _without_service(index: ClusterIndex, service: ServiceState) -> ClusterIndex:
    by_term, by_address = dict(index.services_by_term), dict(index.services_by_address)
    if service.selector:
        term = _term(service)
        left = tuple(name for name in by_term.pop(term) if name != service.qualified_name)
        by_term |= {term: left} if left else {}
    for address in service.cluster_ips:
        del by_address[address]
    return replace(index, services_by_term=by_term, services_by_address=by_address)


def _term(service: ServiceState) -> SelectorTerm:
    """Return the label under which the index keeps a Service: the first of its selector."""
    key, value = min((service.selector or {}).items())
    return service.namespace, key, value
