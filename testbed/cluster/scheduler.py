"""Which node a Pod runs on, or why none does.

Owns nodeName, nodeSelector, unschedulable and not-ready nodes, and the spreading of Pods. Knows no addresses:
a node without room is `ipam.py`'s to report. The words of a Pending Pod's reason are kube-scheduler's and the
kubelet's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from testbed.cluster.draft import PodDraft
from testbed.cluster.state import NodeState

_UNSCHEDULABLE = "were unschedulable"
_NOT_READY = "had untolerated taint {node.kubernetes.io/not-ready: }"
_NO_MATCH = "didn't match Pod's node affinity/selector"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a Pod runs; or, with an empty `node`, why it stays Pending."""

    node: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """How many Pods run on each node, by its name: in all, and of the owner of the Pod to be placed."""

    pods: Mapping[str, int]
    of_owner: Mapping[str, int]

    def rank(self, node: NodeState) -> tuple[int, int, int]:
        """Return what nodes are compared by: Pods of the same owner, all Pods, the order of the file."""
        return self.of_owner.get(node.name, 0), self.pods.get(node.name, 0), node.index


def place(draft: PodDraft, nodes: Mapping[str, NodeState], load: Load) -> Placement:
    """Decide on a Pod's node."""
    if draft.node_name:
        return _bound(draft, nodes)
    verdicts = {name: _refusal(draft, node) for name, node in nodes.items()}
    fitting = [nodes[name] for name, refusal in verdicts.items() if not refusal]
    if not fitting:
        return Placement("", _unplaceable(Counter(verdicts.values()), len(nodes)))
    return Placement(min(fitting, key=load.rank).name)


def matches_node_selector(node_selector: Mapping[str, str], node: NodeState) -> bool:
    """Whether a node has every label of a nodeSelector.

    API rule (PodSpec.nodeSelector): "Selector which must match a node's labels for the pod to be scheduled on
    that node."
    """
    return all(node.labels.get(key) == value for key, value in node_selector.items())


def _bound(draft: PodDraft, nodes: Mapping[str, NodeState]) -> Placement:
    """Return the placement of a Pod that names its node.

    API rule (PodSpec.nodeName): the scheduler is passed by, and with it an unschedulable node; the kubelet
    still checks the nodeSelector, and starts nothing before the network is ready.
    """
    node = nodes.get(draft.node_name)
    if node is None:
        return Placement("", f'no node is named "{draft.node_name}"')
    if not matches_node_selector(draft.node_selector, node):
        return Placement(
            "", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
        )
    if not node.ready:
        return Placement("", f"container runtime network not ready: {node.ready_reason}")
    return Placement(node.name)


def _refusal(draft: PodDraft, node: NodeState) -> str:
    """Return why the scheduler passes a node by, or "". The order is that of its filter plugins."""
    if node.unschedulable:
        return _UNSCHEDULABLE
    if not node.ready:
        return _NOT_READY
    return "" if matches_node_selector(draft.node_selector, node) else _NO_MATCH


def _unplaceable(refusals: Counter[str], nodes: int) -> str:
    parts = ", ".join(f"{count} node(s) {refusal}" for refusal, count in sorted(refusals.items()))
    return f"0/{nodes} nodes are available: {parts}."
