"""No network plugin: nothing is programmed; nodes stay NotReady and Pods Pending, as in a real cluster."""

from __future__ import annotations

from testbed.dataplanes.program import NodeProgram, PodInterface
from testbed.intent import NodeIdentity, NodeIntent, PodAttachment

NAME = "none"
ENCAPSULATIONS = ("none",)
MECHANISMS: tuple[str, ...] = ()


def pod_interface(node: NodeIdentity, pod: PodAttachment) -> PodInterface:
    """Return an interface without an address; no Pod is ever given one, as all stay Pending."""
    del node
    return PodInterface(f"{pod.namespace}/{pod.name}", (), ())


def render(intent: NodeIntent) -> NodeProgram:
    """Return the empty program."""
    return NodeProgram(intent.node.name, {"node": ()})
