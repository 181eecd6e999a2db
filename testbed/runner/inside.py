"""Process 1 of a sandbox: takes a job, builds what it needs, carries it out, reports in events.

Events: {"event": "stage", "name"} while building; then, by job, {"event": "built", ...} and {"event":
"trial", ...}, {"event": "answers", ...} or {"event": "capabilities", ...}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testbed.emulation.capabilities import probe_capabilities
from testbed.emulation.cluster import RAW_VETH, EmulatedCluster
from testbed.emulation.namespaces import pod_namespace
from testbed.emulation.prober import Attempt
from testbed.emulation.processes import Processes
from testbed.emulation.sandbox import RUN_FOLDER, serve
from testbed.inet import Protocol
from testbed.measurement.clock import RunClock
from testbed.measurement.head_start import Candidate, HeadStart, Held
from testbed.measurement.host import Path as MeasuredPath
from testbed.measurement.plan import PlannedTrial
from testbed.measurement.surroundings import Surroundings
from testbed.measurement.trial import TrialOutcome, run_trial
from testbed.measurement.workload import PROGRAMMING
from testbed.runner.hosts import NamespaceHost
from testbed.runner.job import CapabilityJob, CellJob, ClusterPlan, Ends, ProbeJob, from_wire, packed
from testbed.runner.new_service import NewService
from testbed.runner.raw_veth import raw_veth_path

Json = dict[str, Any]  # a JSON object that is about to be sent
Emit = Callable[[Json], None]


def run_job(wire: Json, emit: Emit) -> None:
    """Carry out the job of a JSON line."""
    job = from_wire(wire)
    if isinstance(job, CapabilityJob):
        emit({"event": "capabilities", "available": probe_capabilities()})
        return
    with Processes(RUN_FOLDER) as processes:
        if isinstance(job, CellJob):
            _run_cell(job, processes, emit)
        else:
            _run_probe(job, processes, emit)


def _build(plan: ClusterPlan, processes: Processes, emit: Emit) -> EmulatedCluster:
    cluster = EmulatedCluster(plan.state, plan.intent, plan.underlay, processes, plan.images)
    cluster.up(lambda stage: emit({"event": "stage", "name": stage}))
    emit(
        {
            "event": "built",
            "datapath_type": cluster.datapath_type,
            "seconds": cluster.seconds,
            "warnings": [],
        }
    )
    return cluster


# --- measuring
# -------------------------------------------------------------------------------------------------


def _run_cell(job: CellJob, processes: Processes, emit: Emit) -> None:
    cluster = _build(job.plan, processes, emit)
    cluster.make_raw_veth()
    scratch = RUN_FOLDER / "scratch"
    scratch.mkdir()
    surroundings = Surroundings(job.pinning, scratch, RunClock())
    with HeadStart(surroundings) as head_start:
        head_start.begin(_candidates(job, cluster))
        for trial in job.trials:
            emit({"event": "trial-begins", "index": trial.index})
            outcome = _carry_out(job, trial, cluster, surroundings, head_start.take(trial.index))
            emit({"event": "trial", "index": trial.index, "outcome": packed(outcome)})
            processes.check()


def _candidates(job: CellJob, cluster: EmulatedCluster) -> list[Candidate]:
    """Return the trials that may have a head start.

    Their servers need no port that a Pod answers on, and they change nothing about the cluster.
    """
    found = []
    for trial in job.trials:
        ends = _ends(job, trial)
        if not ends.takes_over and trial.workload.type != PROGRAMMING:
            found.append(Candidate(trial.index, trial.workload, trial.protocol, _path(trial, ends, cluster)))
    return found


def _ends(job: CellJob, trial: PlannedTrial) -> Ends:
    return job.ends[(trial.workload.name, trial.protocol, trial.path)]


def _carry_out(
    job: CellJob, trial: PlannedTrial, cluster: EmulatedCluster, surroundings: Surroundings, held: Held | None
) -> TrialOutcome:
    ends = _ends(job, trial)
    taken_over = [(cluster.state.pods[name], ends.takes_over) for name in ends.servers if ends.takes_over]
    for pod, ports in taken_over:
        cluster.close_ports(pod, ports)
    try:
        return run_trial(
            trial.workload,
            trial.protocol,
            _path(trial, ends, cluster),
            surroundings=surroundings,
            held=held,
            changer=_changer(trial, ends, cluster),
        )
    finally:
        for pod, ports in taken_over:
            cluster.open_ports(pod, ports)


def _changer(trial: PlannedTrial, ends: Ends, cluster: EmulatedCluster) -> NewService | None:
    if trial.workload.type != PROGRAMMING or ends.address is None:
        return None
    return NewService(cluster, ends.address, ends.port)


def _path(trial: PlannedTrial, ends: Ends, cluster: EmulatedCluster) -> MeasuredPath:
    client, server = (f"{side} of trial {trial.index}" for side in ("client", "server"))
    if ends.address is None:
        hosts = [
            NamespaceHost(name.replace(":", "/"), name, cluster.processes, purpose)
            for name, purpose in zip(RAW_VETH, (client, server), strict=True)
        ]
        return raw_veth_path(hosts[0], hosts[1], ends.port)
    return MeasuredPath(
        name=trial.path,
        client=_pod_host(ends.client, cluster, client),
        servers=tuple(_pod_host(name, cluster, server) for name in ends.servers),
        address=ends.address,
        port=ends.port,
        server_port=ends.server_port,
    )


def _pod_host(name: str, cluster: EmulatedCluster, purpose: str) -> NamespaceHost:
    namespace, _, pod = name.partition("/")
    return NamespaceHost(name, pod_namespace(namespace, pod), cluster.processes, purpose)


# --- probing
# ---------------------------------------------------------------------------------------------------


def _run_probe(job: ProbeJob, processes: Processes, emit: Emit) -> None:
    cluster = _build(job.plan, processes, emit)
    attempts = [
        Attempt(
            pod_namespace(*question.source.split("/", 1)),
            question.source,
            question.target,
            question.address,
            Protocol(question.protocol),
            question.port,
        )
        for question in job.questions
    ]
    outcomes = cluster.try_all(attempts, timeout_s=job.timeout_s)
    answers = [
        {
            "verdict": str(outcome.verdict),
            "endpoint": outcome.endpoint or None,
            "seenAs": outcome.seen_as or None,
        }
        for outcome in outcomes
    ]
    emit({"event": "answers", "answers": answers})


if __name__ == "__main__":
    serve(run_job)
