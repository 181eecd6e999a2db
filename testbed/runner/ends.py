"""Between whom a trial measures: the paths' own Pods, or the ends that an experiment names. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from testbed.cluster.changes import next_cluster_ips
from testbed.cluster.state import ClusterState, ContainerPort, PodPhase, PodState, ServicePort, ServiceState
from testbed.dataplanes.catalogue import SERVICE_PROXIES
from testbed.errors import Finding, SpecError
from testbed.inet import IPAddress, Protocol
from testbed.intent import ClusterIntent, ServiceForward, ServicePortForward
from testbed.measurement.paths import (
    IDLE_IMAGE,
    NEW_SERVICE,
    PORTS,
    PathDescription,
    TargetKind,
    aim,
    path_descriptions,
)
from testbed.measurement.plan import PlannedTrial
from testbed.measurement.workload import GIVEN_ENDS, PING
from testbed.records.schema import RAW_VETH
from testbed.runner.job import ClusterPlan, Ends
from testbed.spec.experiment import ExperimentSpec
from testbed.spec.measurement import MeasurementSpec

EndsKey = tuple[str, str, str]
"""(measurement, protocol, path)."""


def ends_of_trials(
    plan: ClusterPlan, trials: Sequence[PlannedTrial], spec: ExperimentSpec, file: str
) -> dict[EndsKey, Ends]:
    """Return the ends of every trial of a variant, whose spec is given.

    Raises:
        SpecError: a measurement names a client, Service or port that the cluster does not have.
        CapacityError: there is no address for a Service that a measurement adds.
    """
    measurements = {measurement.name: measurement for measurement in spec.measurements}
    paths = path_descriptions(len(plan.state.nodes), spec.services)
    found: dict[EndsKey, Ends] = {}
    findings: list[Finding] = []
    for trial in trials:
        key = (trial.workload.name, trial.protocol, trial.path)
        if key in found:
            continue
        try:
            found[key] = _ends(plan, trial, measurements[trial.workload.name], paths)
        except LookupError as error:
            path = f"spec.measurements[{list(measurements).index(trial.workload.name)}]"
            findings.append(Finding(file, 0, 0, path, str(error.args[0])))
    if findings:
        raise SpecError(findings)
    return found


def _ends(
    plan: ClusterPlan, trial: PlannedTrial, spec: MeasurementSpec, paths: Mapping[str, PathDescription]
) -> Ends:
    kind = trial.workload.type
    if trial.path == RAW_VETH:
        port = 0 if kind == PING else PORTS[kind].direct
        return Ends("", (), None, port, port)
    if trial.path == GIVEN_ENDS:
        return _given_ends(plan, Protocol(trial.protocol) if kind != PING else Protocol.TCP, spec)
    path = paths[trial.path]
    _refuse_unserved(plan.state, path)
    port, server_port = aim(path, kind)
    return Ends(path.client, path.servers, _target_address(plan.state, path), port, server_port)


def _target_address(state: ClusterState, path: PathDescription) -> IPAddress:
    if path.name == NEW_SERVICE:
        return next_cluster_ips(state, path.target)[0]
    if path.kind is TargetKind.SERVICE:
        return state.services[path.target].cluster_ips[0]
    return state.pods[path.target].addresses[0]


def _refuse_unserved(state: ClusterState, path: PathDescription) -> None:
    """Refuse a path of the matrix that no packet can take in this cluster.

    Raises:
        LookupError: one of its Pods does not run, or nothing serves the ClusterIP that it leads through.
    """
    for name in (path.client, *path.servers):
        pod = state.pods[name]
        if not pod.addresses:
            raise LookupError(f"Pod {name} of path {path.name} is {pod.phase}: {pod.reason}")
    proxy = state.network.service_proxy
    if path.kind is TargetKind.SERVICE and not SERVICE_PROXIES[proxy].is_installed:
        raise LookupError(
            f"path {path.name} leads through a ClusterIP, which serviceProxy.mode {proxy} serves for nobody;"
            f" name other paths, or choose a service proxy"
        )


def _given_ends(plan: ClusterPlan, protocol: Protocol, spec: MeasurementSpec) -> Ends:
    state, target = plan.state, spec.target
    client = _first_pod(state, spec.client or {}, "from")
    if target is None:
        raise LookupError("the measurement names no target")
    if target.service is not None:
        service = state.services.get(f"{target.namespace}/{target.service}")
        if service is None:
            raise LookupError(f"there is no Service {target.namespace}/{target.service}")
        return _service_ends(plan, client, service, target.port, protocol)
    server = _first_pod(state, target.pod or {}, "to.pod")
    port = int(target.port) if target.port is not None else _only_port(server, protocol)
    takes_over = _taken_over((server,), port)
    return Ends(client.qualified_name, (server.qualified_name,), server.addresses[0], port, port, takes_over)


def _service_ends(
    plan: ClusterPlan, client: PodState, service: ServiceState, wanted: int | str | None, protocol: Protocol
) -> Ends:
    port = _service_port(service, wanted, protocol)
    forward = _forward(plan.intent, service, port)
    pods = [plan.state.pod_at(backend.address) for backend in forward.backends]
    servers = tuple(pod for pod in pods if pod is not None)
    numbers = {backend.port for backend in forward.backends}
    if not servers or len(numbers) != 1:
        raise LookupError(f"Service {service.qualified_name} port {port.port} has no endpoint to measure")
    server_port = numbers.pop()
    return Ends(
        client.qualified_name,
        tuple(sorted(pod.qualified_name for pod in servers)),
        service.cluster_ips[0],
        port.port,
        server_port,
        _taken_over(servers, server_port),
    )


def _forward(intent: ClusterIntent, service: ServiceState, port: ServicePort) -> ServicePortForward:
    thing = intent.shared.get(f"Service/{service.qualified_name}")
    if isinstance(thing, ServiceForward):
        for forward in thing.ports:
            if (forward.port, forward.protocol) == (port.port, port.protocol):
                return forward
    raise LookupError(f"Service {service.qualified_name} has no ClusterIP that is served")


def _service_port(service: ServiceState, wanted: int | str | None, protocol: Protocol) -> ServicePort:
    candidates = [port for port in service.ports if port.protocol is protocol]
    if wanted is not None:
        candidates = [port for port in candidates if wanted in (port.port, port.name)]
    if len(candidates) != 1:
        which = f" '{wanted}'" if wanted is not None else ""
        has = ", ".join(f"{port.port}/{port.protocol}" for port in service.ports)
        raise LookupError(
            f"Service {service.qualified_name} has no single {protocol} port{which}; it has {has}"
        )
    return candidates[0]


def _first_pod(state: ClusterState, labels: Mapping[str, str], key: str) -> PodState:
    for _, pod in sorted(state.pods.items()):
        if pod.phase is PodPhase.RUNNING and all(
            pod.labels.get(name) == value for name, value in labels.items()
        ):
            return pod
    shown = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    raise LookupError(f"{key}: no running Pod has the labels {shown}")


def _only_port(pod: PodState, protocol: Protocol) -> int:
    ports = [port.port for port in pod.ports if port.protocol is protocol]
    if len(ports) != 1:
        raise LookupError(f"Pod {pod.qualified_name} has {len(ports)} {protocol} ports: say which in to.port")
    return ports[0]


def _taken_over(servers: Sequence[PodState], port: int) -> tuple[ContainerPort, ...]:
    """Return the ports of servers' Pods that a tool's server needs free: one number, either protocol."""
    answering = {
        declared
        for pod in servers
        if pod.image != IDLE_IMAGE
        for declared in pod.ports
        if declared.port == port
    }
    return tuple(sorted(answering))
