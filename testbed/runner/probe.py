"""A throw-away cluster and the connections between its Pods: what reaches what, and who answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from testbed.cluster.state import ClusterState, ContainerPort, PodPhase, PodState, ServiceState
from testbed.dataplanes.catalogue import NETWORK_PLUGINS
from testbed.emulation.sandbox import run_in_sandbox
from testbed.errors import RunFailed, UsageError
from testbed.inet import IPAddress, Protocol
from testbed.runner.job import ClusterPlan, ProbeJob, Question, to_wire
from testbed.runner.preflight import INSIDE, check_machine

Json = dict[str, Any]  # a JSON object; its values are checked where they are read
PROBED = (Protocol.TCP, Protocol.UDP)


@dataclass(frozen=True, slots=True)
class Answer:
    """How one connection ended: allowed, refused or blocked; `endpoint` is the Pod that answered."""

    question: Question
    verdict: str
    endpoint: str | None
    seen_as: str | None

    def to_json(self) -> Json:
        """Return the answer as `testbed probe --json` prints it."""
        return {
            "from": self.question.source,
            "to": self.question.target,
            "protocol": str(self.question.protocol),
            "port": self.question.port,
            "verdict": self.verdict,
            "endpoint": self.endpoint,
        }


def all_questions(state: ClusterState) -> tuple[Question, ...]:
    """Return a question from every Pod to every Pod's containerPorts and every Service's ClusterIP ports.

    Raises:
        UsageError: there is nothing to ask, as no Pod runs: says why.
    """
    return tuple(_some(_all(state), state))


def chosen_questions(
    state: ClusterState, source: str | None, target: str | None, port: int | None, protocol: Protocol | None
) -> tuple[Question, ...]:
    """Return the questions that some choices leave of all; a target may also be an address with a port.

    Args:
        state: the cluster.
        source: a Pod as `namespace/name` (`name` alone means default), or None for every Pod.
        target: a Pod, a Service or an address; None for every Pod and Service.
        port: a port, or None for all that the target declares.
        protocol: TCP or UDP, or None for both.

    Raises:
        UsageError: there is no such Pod, Service or port.
    """
    sources = _running(state) if source is None else [_pod(state, _qualified(source))]
    if target is not None and (address := _address(target)) is not None:
        return _to_address(sources, target, address, port, protocol)
    kept = [
        question
        for question in _all(state)
        if question.source in {pod.qualified_name for pod in sources}
        and (target is None or question.target == _qualified(target))
        and protocol in (None, question.protocol)
    ]
    if port is not None:
        kept = _on_port(kept, sources, state, target, port, protocol)
    return tuple(dict.fromkeys(_some(kept, state, target)))


def probe_cluster(
    plan: ClusterPlan,
    questions: Sequence[Question],
    *,
    timeout_s: float = 1.0,
    on_stage: Callable[[str], None] = lambda _name: None,
) -> tuple[Answer, ...]:
    """Build a cluster in a sandbox and return the answers to some questions, in their order.

    Raises:
        EnvironmentProblem: this machine cannot build it.
        RunFailed: it did not come up.
    """
    check_machine([plan], {})
    found: list[Json] = []

    def take(event: Json) -> None:
        if event["event"] == "stage":
            on_stage(event["name"])
        elif event["event"] == "answers":
            found.extend(event["answers"])

    job = ProbeJob(plan, tuple(questions), timeout_s)
    run_in_sandbox(INSIDE, to_wire(job), take)
    if len(found) != len(questions):
        raise RunFailed(f"{len(found)} of {len(questions)} connections were reported on")
    return tuple(
        Answer(question, answer["verdict"], answer["endpoint"], answer["seenAs"])
        for question, answer in zip(questions, found, strict=True)
    )


def _all(state: ClusterState) -> list[Question]:
    pods = _running(state)
    return [
        question for source in pods for question in (*_to_pods(source, pods), *_to_services(source, state))
    ]


def _some(questions: list[Question], state: ClusterState, target: str | None = None) -> list[Question]:
    if not questions:
        raise UsageError(_nothing_to_ask(state, target))
    return questions


def _running(state: ClusterState) -> list[PodState]:
    return [pod for _, pod in sorted(state.pods.items()) if pod.phase is PodPhase.RUNNING]


def _to_pods(source: PodState, pods: Iterable[PodState]) -> Iterable[Question]:
    for pod in pods:
        for port in _ports(pod.ports):
            yield Question(
                source.qualified_name, pod.qualified_name, pod.addresses[0], port.protocol, port.port
            )


def _to_services(source: PodState, state: ClusterState) -> Iterable[Question]:
    for name, service in sorted(state.services.items()):
        for port in service.ports:
            if service.cluster_ips and port.protocol in PROBED:
                yield Question(source.qualified_name, name, service.cluster_ips[0], port.protocol, port.port)


def _ports(ports: Iterable[ContainerPort]) -> list[ContainerPort]:
    return sorted({ContainerPort(port.port, port.protocol) for port in ports if port.protocol in PROBED})


def _to_address(
    sources: Iterable[PodState], target: str, address: IPAddress, port: int | None, protocol: Protocol | None
) -> tuple[Question, ...]:
    if port is None:
        raise UsageError(f"which port of {target}?", fix="add --port")
    wanted = Protocol.TCP if protocol is None else protocol
    return tuple(Question(source.qualified_name, target, address, wanted, port) for source in sources)


def _on_port(
    kept: Sequence[Question],
    sources: Iterable[PodState],
    state: ClusterState,
    target: str | None,
    port: int,
    protocol: Protocol | None,
) -> list[Question]:
    """Return the questions on one port; a single target is asked whether it declares the port or not."""
    declared = [question for question in kept if question.port == port]
    if declared or target is None:
        return declared
    name = _qualified(target)
    thing: PodState | ServiceState | None = state.pods.get(name) or state.services.get(name)
    if thing is None:
        return []
    addresses = thing.addresses if isinstance(thing, PodState) else thing.cluster_ips
    return list(_to_address(sources, name, addresses[0], port, protocol)) if addresses else []


def _pod(state: ClusterState, name: str) -> PodState:
    pod = state.pods.get(name)
    if pod is None:
        known = ", ".join(sorted(state.pods)[:20])
        raise UsageError(f"there is no Pod {name}", fix=f"there are: {known}")
    if pod.phase is not PodPhase.RUNNING:
        raise UsageError(f"Pod {name} is {pod.phase}: {pod.reason}")
    return pod


def _qualified(name: str) -> str:
    return name if "/" in name else f"default/{name}"


def _address(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _nothing_to_ask(state: ClusterState, target: str | None) -> str:
    if target is not None and _qualified(target) not in {*state.pods, *state.services}:
        return f"there is no Pod or Service {_qualified(target)}"
    if not _running(state):
        return _nobody_runs(state)
    return "no Pod or Service that was chosen has a TCP or UDP port"


def _nobody_runs(state: ClusterState) -> str:
    if not state.pods:
        return "the manifests have no Pod"
    reasons = sorted({pod.reason for pod in state.pods.values() if pod.reason})
    nodes = sorted({node.ready_reason for node in state.nodes.values() if not node.ready})
    why = "; ".join([*reasons, *(f"nodes are NotReady: {reason}" for reason in nodes)])
    is_installed = NETWORK_PLUGINS[state.network.plugin].is_installed
    remark = "" if is_installed else " (network.plugin is none: no network plugin is installed)"
    return f"all {len(state.pods)} Pods are Pending: {why}{remark}"
