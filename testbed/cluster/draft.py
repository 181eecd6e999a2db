"""A Pod that someone wants, before it is decided where it runs: what networking needs of its manifest.

Owns the step from the manifest's models to the cluster's own values for Pods. `workloads.py` makes drafts out
of controllers' templates, `scheduler.py` places them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.cluster.state import ContainerPort, ObjectKey
from testbed.inet import Protocol
from testbed.spec.kubernetes import Pod, PodSpec


@dataclass(frozen=True, slots=True)
class PodDraft:
    """A Pod to be placed. `node_name` is empty unless a manifest or the DaemonSet controller gives one."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    owner: ObjectKey | None
    image: str
    ports: tuple[ContainerPort, ...]
    node_selector: Mapping[str, str]
    node_name: str = ""

    @property
    def qualified_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


def draft_of_pod(pod: Pod) -> PodDraft:
    """Return the draft of a Pod that a manifest gives itself."""
    identity = ObjectKey("Pod", pod.metadata.namespace, pod.metadata.name)
    return draft_of_spec(identity, pod.metadata.labels, pod.spec, owner=None)


def draft_of_spec(
    pod: ObjectKey, labels: Mapping[str, str], spec: PodSpec, *, owner: ObjectKey | None
) -> PodDraft:
    """Return the draft of a Pod with this identity, these labels and this PodSpec."""
    return PodDraft(
        namespace=pod.namespace,
        name=pod.name,
        labels=dict(sorted(labels.items())),
        owner=owner,
        image=spec.containers[0].image,
        ports=container_ports(spec),
        node_selector=dict(sorted(spec.node_selector.items())),
        node_name=spec.node_name,
    )


def container_ports(spec: PodSpec) -> tuple[ContainerPort, ...]:
    """Return the ports of all containers, in the manifest's order, each once."""
    ports = (
        ContainerPort(port.container_port, Protocol(port.protocol), port.name)
        for container in spec.containers
        for port in container.ports
    )
    return tuple(dict.fromkeys(ports))
