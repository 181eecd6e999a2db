"""No network plugin: nothing is programmed; nodes stay NotReady and Pods Pending, as in a real cluster."""

from __future__ import annotations

from testbed.dataplanes.linux import PodInterface
from testbed.dataplanes.program import ProgramObject
from testbed.intent import IntentObject, NodeIdentity, PodAttachment


def render_node(_node: NodeIdentity) -> tuple[ProgramObject, ...]:
    """Return nothing."""
    return ()


def render_object(_node: NodeIdentity, _thing: IntentObject) -> tuple[ProgramObject, ...]:
    """Return nothing."""
    return ()


def pod_interface(_node: NodeIdentity, pod: PodAttachment) -> PodInterface:
    """Return an interface without an address; no Pod is ever given one, as all stay Pending."""
    return PodInterface(f"{pod.namespace}/{pod.name}", (), ())
