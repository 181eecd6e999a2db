"""A draft becomes a Pod: placed on a node and given its addresses, or Pending with a reason.

Owns the order in which Pods are placed and the step from PodDraft to PodState.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from testbed.cluster.draft import PodDraft
from testbed.cluster.ipam import pod_pool, take_pod_addresses
from testbed.cluster.scheduler import Load, Placement, place
from testbed.cluster.state import NodeState, ObjectKey, PodPhase, PodState
from testbed.inet import IPAddresses


def run_pods(drafts: Iterable[PodDraft], nodes: Mapping[str, NodeState]) -> Mapping[str, PodState]:
    """Place all Pods of a cluster that has none yet; return them by `namespace/name`, sorted.

    Pods whose node is named go first, so that the others spread around them.

    Raises:
        CapacityError: a node's podCIDR has no address left for a Pod placed there.
    """
    pools = {name: tuple(map(pod_pool, node.pod_cidrs)) for name, node in nodes.items()}
    totals: Counter[str] = Counter()
    by_owner: defaultdict[ObjectKey | None, Counter[str]] = defaultdict(Counter)
    pods = {}
    for draft in sorted(drafts, key=lambda draft: not draft.node_name):
        owned = by_owner[draft.owner] if draft.owner else Counter[str]()
        placement = place(draft, nodes, Load(totals, owned))
        addresses: IPAddresses = ()
        if placement.node:
            name = placement.node
            addresses, pools[name] = take_pod_addresses(pools[name], name, draft.qualified_name)
            totals[name] += 1
            owned[name] += 1
        pods[draft.qualified_name] = pod_of(draft, placement, addresses)
    return dict(sorted(pods.items()))


def pod_of(draft: PodDraft, placement: Placement, addresses: IPAddresses) -> PodState:
    """Return the Pod that a draft becomes. One that runs is ready: no probe could say otherwise."""
    is_running = bool(placement.node)
    return PodState(
        namespace=draft.namespace,
        name=draft.name,
        labels=draft.labels,
        owner=draft.owner,
        image=draft.image,
        ports=draft.ports,
        node=placement.node,
        addresses=addresses,
        phase=PodPhase.RUNNING if is_running else PodPhase.PENDING,
        ready=is_running,
        reason=placement.reason,
    )
