"""The Pods that controllers make: Deployment, ReplicaSet, DaemonSet and StatefulSet to drafts of Pods.

Owns how many Pods there are, their names and the labels Kubernetes adds. Places none of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from testbed.cluster.draft import PodDraft, container_ports, draft_of_pod, draft_of_spec
from testbed.cluster.naming import TEMPLATE_HASH_LENGTH, encoded_hash, generated_name
from testbed.cluster.scheduler import matches_node_selector
from testbed.cluster.state import NodeState, ObjectKey
from testbed.errors import Finding, SpecError
from testbed.spec.kubernetes import DaemonSet, Deployment, Pod, PodTemplate, ReplicaSet, StatefulSet

Workload = Deployment | ReplicaSet | DaemonSet | StatefulSet

POD_TEMPLATE_HASH = "pod-template-hash"
STATEFUL_POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"


@dataclass(frozen=True, slots=True)
class _Replica:
    """One Pod of a controller: the start of its name, what its suffix is a hash of, what sets it apart."""

    base: str
    seed: str
    labels: Mapping[str, str]
    node_name: str = ""


class _Drafts:
    """The Pods so far, and by namespace the names they have."""

    def __init__(self) -> None:
        self.names: defaultdict[str, set[str]] = defaultdict(set)
        self._drafts: dict[str, PodDraft] = {}

    def add(self, draft: PodDraft) -> None:
        self.names[draft.namespace].add(draft.name)
        self._drafts[draft.qualified_name] = draft

    def all(self) -> tuple[PodDraft, ...]:
        return tuple(self._drafts.values())


def drafts_of(
    pods: Iterable[Pod], workloads: Iterable[Workload], nodes: Mapping[str, NodeState]
) -> tuple[PodDraft, ...]:
    """Return every Pod that the manifests ask for, in an order that does not depend on theirs.

    Names that manifests give come first, then StatefulSets' (which cannot differ), then those with a free
    suffix; each sorted by controller, a controller's own by ordinal or node.

    Raises:
        SpecError: a StatefulSet needs a Pod name that another Pod has.
    """
    drafts = _Drafts()
    for pod in sorted(pods, key=lambda pod: (pod.metadata.namespace, pod.metadata.name)):
        drafts.add(draft_of_pod(pod))
    ordered = sorted(workloads, key=lambda made: (made.kind, made.metadata.namespace, made.metadata.name))
    stateful = [made for made in ordered if isinstance(made, StatefulSet)]
    findings = [finding for made in stateful for finding in _add_stateful(drafts, made)]
    if findings:
        raise SpecError(findings)
    for made in ordered:
        if not isinstance(made, StatefulSet):
            _add_generated(drafts, made, nodes)
    return drafts.all()


def template_hash(template: PodTemplate) -> str:
    """Return the pod-template-hash of a template: ten letters that follow from what networking goes by."""
    spec = template.spec
    parts = (
        sorted(template.metadata.labels.items()),
        [(container.name, container.image) for container in spec.containers],
        container_ports(spec),
        sorted(spec.node_selector.items()),
        spec.node_name,
    )
    return encoded_hash(repr(parts), TEMPLATE_HASH_LENGTH)


def _add_stateful(drafts: _Drafts, made: StatefulSet) -> Iterable[Finding]:
    """Add a StatefulSet's Pods: `name-0`, `name-1`, ... (StatefulSet docs, "Ordinal index")."""
    owner = _key(made)
    for ordinal in range(made.spec.replicas):
        name = f"{owner.name}-{ordinal}"
        labels = {STATEFUL_POD_NAME: name, POD_INDEX: str(ordinal)}
        draft = _draft(made, name, labels)
        if name in drafts.names[owner.namespace]:
            yield _name_taken(owner, draft.qualified_name)
        drafts.add(draft)


def _add_generated(drafts: _Drafts, made: Workload, nodes: Mapping[str, NodeState]) -> None:
    owner = _key(made)
    taken = drafts.names[owner.namespace]
    for replica in _replicas(made, nodes):
        name = generated_name(replica.base, f"{owner} {replica.seed}", taken)
        draft = _draft(made, name, replica.labels)
        drafts.add(replace(draft, node_name=replica.node_name) if replica.node_name else draft)


def _replicas(made: Workload, nodes: Mapping[str, NodeState]) -> Iterable[_Replica]:
    name = made.metadata.name
    if isinstance(made, DaemonSet):
        return [_Replica(name, node, {}, node) for node in _daemon_nodes(made, nodes)]
    ordinals = map(str, range(made.spec.replicas))
    if isinstance(made, Deployment):
        revision = template_hash(made.spec.template)
        labels = {POD_TEMPLATE_HASH: revision}
        return [_Replica(f"{name}-{revision}", ordinal, labels) for ordinal in ordinals]
    return [_Replica(name, ordinal, {}) for ordinal in ordinals]


def _daemon_nodes(made: DaemonSet, nodes: Mapping[str, NodeState]) -> Iterable[str]:
    """Return the nodes a DaemonSet has a Pod on.

    API rule (DaemonSet): its Pods tolerate the node.kubernetes.io/unschedulable and not-ready taints, so only
    the nodeSelector (and a nodeName in the template) chooses among nodes.
    """
    spec = made.spec.template.spec
    eligible = (name for name, node in nodes.items() if matches_node_selector(spec.node_selector, node))
    return [name for name in eligible if spec.node_name in ("", name)]


def _draft(made: Workload, name: str, added_labels: Mapping[str, str]) -> PodDraft:
    template = made.spec.template
    owner = _key(made)
    labels = {**template.metadata.labels, **added_labels}
    return draft_of_spec(ObjectKey("Pod", owner.namespace, name), labels, template.spec, owner=owner)


def _key(made: Workload) -> ObjectKey:
    return ObjectKey(made.kind, made.metadata.namespace, made.metadata.name)


def _name_taken(owner: ObjectKey, pod: str) -> Finding:
    return Finding(
        file="manifests",
        line=0,
        column=0,
        path=str(owner),
        what=f"it needs a Pod named {pod}, and there is one already",
        fix="rename the StatefulSet or the other Pod",
    )
