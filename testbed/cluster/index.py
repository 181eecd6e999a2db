"""Looking things up in a ClusterState without walking through it: builds and updates its ClusterIndex.

The index holds nothing that the rest of the state does not say; `index_of` derives it where it is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from testbed.cluster.ipam import AddressPool, pod_pool, release_pod_addresses
from testbed.cluster.state import (
    ClusterIndex,
    ClusterState,
    NodeState,
    ObjectKey,
    PodPhase,
    PodState,
    SelectorTerm,
    ServiceState,
)


def index_of(state: ClusterState) -> ClusterIndex:
    """Return the index of a state: the one it carries, else one derived from its objects."""
    if state.index is not None:
        return state.index
    return build_index(state.nodes, state.pods.values(), state.services.values())


def build_index(
    nodes: Mapping[str, NodeState], pods: Iterable[PodState], services: Iterable[ServiceState]
) -> ClusterIndex:
    """Derive the index of a whole cluster."""
    on_node: dict[str, list[PodState]] = {name: [] for name in nodes}
    for pod in pods:
        if pod.phase is PodPhase.RUNNING:
            on_node[pod.node].append(pod)
    running = [pod for names in on_node.values() for pod in names]
    ordered = sorted(services, key=lambda service: service.qualified_name)
    return ClusterIndex(
        pools={name: _pools(node, on_node[name]) for name, node in nodes.items()},
        pods_by_node={name: frozenset(pod.qualified_name for pod in on_node[name]) for name in nodes},
        nodes_by_owner=_by_owner(running),
        pods_by_address={address: pod.qualified_name for pod in running for address in pod.addresses},
        services_by_term=_by_term(ordered),
        services_by_address={ip: service.qualified_name for service in ordered for ip in service.cluster_ips},
    )


def with_pod(index: ClusterIndex, pod: PodState, pools: tuple[AddressPool, ...]) -> ClusterIndex:
    """Return the index with a running Pod more; `pools` are its node's after its addresses were taken."""
    by_owner = index.nodes_by_owner
    if pod.owner is not None:
        by_owner = {**by_owner, pod.owner: tuple(sorted((*by_owner.get(pod.owner, ()), pod.node)))}
    return replace(
        index,
        pools={**index.pools, pod.node: pools},
        pods_by_node={**index.pods_by_node, pod.node: index.pods_by_node[pod.node] | {pod.qualified_name}},
        nodes_by_owner=by_owner,
        pods_by_address={**index.pods_by_address, **dict.fromkeys(pod.addresses, pod.qualified_name)},
    )


def without_pod(index: ClusterIndex, pod: PodState) -> ClusterIndex:
    """Return the index with a running Pod less, its addresses free again."""
    pools = release_pod_addresses(index.pools[pod.node], pod.addresses)
    by_address = dict(index.pods_by_address)
    for address in pod.addresses:
        del by_address[address]
    return replace(
        index,
        pools={**index.pools, pod.node: pools},
        pods_by_node={**index.pods_by_node, pod.node: index.pods_by_node[pod.node] - {pod.qualified_name}},
        nodes_by_owner=_without_owned(index.nodes_by_owner, pod),
        pods_by_address=by_address,
    )


def _without_owned(
    by_owner: Mapping[ObjectKey, tuple[str, ...]], pod: PodState
) -> Mapping[ObjectKey, tuple[str, ...]]:
    if pod.owner is None:
        return by_owner
    nodes = list(by_owner[pod.owner])
    nodes.remove(pod.node)
    left = {owner: found for owner, found in by_owner.items() if owner != pod.owner}
    return {**left, pod.owner: tuple(nodes)} if nodes else left


def services_selecting(
    services: Mapping[str, ServiceState], index: ClusterIndex, pod: PodState
) -> tuple[ServiceState, ...]:
    """Return the Services whose selector matches a Pod's labels, sorted by `namespace/name`.

    A Service is kept under the first of its selector's labels, so only those that share a label with the Pod
    are looked at.
    """
    terms = ((pod.namespace, key, value) for key, value in pod.labels.items())
    candidates = (services[name] for term in terms for name in index.services_by_term.get(term, ()))
    found = (service for service in candidates if selects(service, pod))
    return tuple(sorted(found, key=lambda service: service.qualified_name))


def selects(service: ServiceState, pod: PodState) -> bool:
    """Whether a Service's selector matches a Pod of its namespace.

    API rule: "Route service traffic to pods with label keys and values matching this selector. If empty or
    not present, the service is assumed to have an external process managing its endpoints"
    (ServiceSpec.selector).
    """
    if not service.selector or service.namespace != pod.namespace:
        return False
    return all(pod.labels.get(key) == value for key, value in service.selector.items())


def _by_owner(running: Iterable[PodState]) -> Mapping[ObjectKey, tuple[str, ...]]:
    nodes: defaultdict[ObjectKey, list[str]] = defaultdict(list)
    for pod in running:
        if pod.owner is not None:
            nodes[pod.owner].append(pod.node)
    return {owner: tuple(sorted(found)) for owner, found in nodes.items()}


def _by_term(services: Iterable[ServiceState]) -> Mapping[SelectorTerm, tuple[str, ...]]:
    names: defaultdict[SelectorTerm, list[str]] = defaultdict(list)
    for service in services:
        if service.selector:
            names[_term(service)].append(service.qualified_name)
    return {term: tuple(found) for term, found in names.items()}


def _term(service: ServiceState) -> SelectorTerm:
    key, value = min((service.selector or {}).items())
    return service.namespace, key, value


def _pools(node: NodeState, pods: Iterable[PodState]) -> tuple[AddressPool, ...]:
    taken = [address for pod in pods for address in pod.addresses]
    return tuple(pod_pool(block, taken) for block in node.pod_cidrs)
