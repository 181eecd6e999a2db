"""What the parent hands to the sandbox: everything decided beforehand, so that the child only carries out.

Values cross as pickles inside the JSON line, as between any two processes of one program: the parent wrote
what the child reads, over a pipe that nobody else has.
"""

from __future__ import annotations

import base64
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.cluster.build import build_cluster
from testbed.cluster.segments import refuse_scattered_nodes
from testbed.cluster.state import ClusterState, ContainerPort
from testbed.cluster.underlay import Underlay
from testbed.cluster.underlay_plan import plan_underlay
from testbed.inet import IPAddress, Protocol
from testbed.intent import ClusterIntent
from testbed.intent_from_cluster import compile_intent
from testbed.measurement.host import Pinning
from testbed.measurement.plan import PlannedTrial
from testbed.spec.cluster import ClusterSpec
from testbed.spec.manifests import Manifests


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """A cluster decided down to the last address; `images` maps images to the commands that really run."""

    state: ClusterState
    intent: ClusterIntent
    underlay: Underlay
    images: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a path. Pods are named `namespace/name`; no client means the raw veth pair.

    `takes_over` are ports on which servers' Pods answer by themselves: they stop while a tool's server
    listens there.
    """

    client: str
    servers: tuple[str, ...]
    address: IPAddress | None
    port: int
    server_port: int
    takes_over: tuple[ContainerPort, ...] = ()


@dataclass(frozen=True, slots=True)
class CellJob:
    """Build one variant once, and carry out its trials in order.

    `ends` has an entry for each (measurement, protocol, path) of the trials.
    """

    plan: ClusterPlan
    trials: tuple[PlannedTrial, ...]
    ends: Mapping[tuple[str, str, str], Ends]
    pinning: Pinning


@dataclass(frozen=True, slots=True)
class Question:
    """A connection to ask about: from a Pod (`namespace/name`) to an address; `target` names the aim."""

    source: str
    target: str
    address: IPAddress
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class ProbeJob:
    """Build a cluster, and try connections in it."""

    plan: ClusterPlan
    questions: tuple[Question, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class CapabilityJob:
    """Find out what this kernel can do."""


Job = CellJob | ProbeJob | CapabilityJob


def plan_cluster(spec: ClusterSpec, manifests: Manifests) -> ClusterPlan:
    """Decide a whole cluster.

    Raises:
        CapacityError, SpecError: the YAML asks for something that cannot be.
    """
    underlay = plan_underlay(spec.topology, [node.name for node in spec.nodes])
    refuse_scattered_nodes(spec.network, underlay)
    state = build_cluster(spec, manifests.objects)
    images = {image: tuple(entry.command) for image, entry in spec.images.items()}
    return ClusterPlan(state, compile_intent(state, underlay), underlay, images)


def to_wire(job: Job) -> dict[str, object]:
    """Return a job as a JSON object."""
    return {"pickle": packed(job)}


def from_wire(wire: Mapping[str, Any]) -> Job:  # Any: a JSON object
    """Return the job that a JSON object of `to_wire` stands for."""
    job: Job = unpacked(wire["pickle"])
    return job


def packed(value: object) -> str:
    """Return a value as text that JSON can carry."""
    return base64.b64encode(pickle.dumps(value)).decode("ascii")


def unpacked(text: str) -> Any:  # Any: whatever was packed
    """Return the value that `packed` made a text of, in the other one of our two processes."""
    return pickle.loads(base64.b64decode(text))  # noqa: S301 - our own parent or child wrote it
