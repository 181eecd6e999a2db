"""One trial: start the servers, wait until they listen, run the client, read what it says.

A trial never raises RunFailed: what failed becomes an outcome with the error's text, a row like any other.
It is carried out once and never again. Knows no tool; `probes` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from testbed.errors import NotReady, ProcessDied, RunFailed
from testbed.measurement.clock import Clock
from testbed.measurement.errors import excerpt
from testbed.measurement.host import Host, Path, Pinning, RunningProgram
from testbed.measurement.host_load import host_load, read_counters
from testbed.measurement.plan import PlannedTrial
from testbed.measurement.probes import prepare_exchange
from testbed.measurement.readings import Exchange, Listener, Readings, Samples
from testbed.measurement.workload import Workload
from testbed.records.schema import HostLoad, TrialRecord, TrialStatus

LISTEN_TIMEOUT_S = 10.0
LISTEN_POLL_S = 0.02

Servers = tuple[tuple[Host, RunningProgram], ...]


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """How a trial went. `host_load` is None if no client ran; a failed trial has no samples and no summary.

    `started_s` is on the clock's scale; the host load is that of the client's run alone, start-up included
    (sockperf idles for its first 2 s).
    """

    client: str
    server: str
    target: str
    argv: tuple[str, ...]
    started_s: float
    duration_s: float
    status: TrialStatus
    error: str = ""
    summary: Mapping[str, float] = field(default_factory=dict)
    host_load: HostLoad | None = None
    samples: Mapping[str, Samples] = field(default_factory=dict)


def run_trial(
    workload: Workload,
    protocol: str,
    path: Path,
    *,
    pinning: Pinning,
    scratch_dir: FilePath,
    clock: Clock,
) -> TrialOutcome:
    """Carry out one trial and return how it went; the files that tools leave in `scratch_dir` are removed."""
    exchange = prepare_exchange(workload, protocol, path, scratch_dir)
    attempt = _Attempt(exchange, path, pinning, clock)
    started_s = clock.now_s()
    readings, error = Readings({}, {}), ""
    try:
        readings = attempt.carry_out()
    except RunFailed as failure:
        error = str(failure)
    finally:
        for file in exchange.scratch_files:
            file.unlink(missing_ok=True)
    return TrialOutcome(
        client=path.client.name,
        server=" ".join(server.name for server in path.servers),
        target=_target(path),
        argv=exchange.client_argv,
        started_s=started_s,
        duration_s=clock.now_s() - started_s,
        status=TrialStatus.FAILED if error else TrialStatus.OK,
        error=error,
        summary=readings.summary,
        host_load=attempt.host_load,
        samples=readings.samples,
    )


def trial_record(
    planned: PlannedTrial, settings: Mapping[str, str | int | float | bool], outcome: TrialOutcome
) -> TrialRecord:
    """Return the row of a run that a planned trial and its outcome make together."""
    return TrialRecord(
        variant=planned.variant,
        settings=settings,
        repeat=planned.repeat,
        measurement=planned.workload.name,
        type=planned.workload.type,
        protocol=planned.protocol,
        path=planned.path,
        client=outcome.client,
        server=outcome.server,
        target=outcome.target,
        argv=outcome.argv,
        started_s=outcome.started_s,
        duration_s=outcome.duration_s,
        status=outcome.status,
        error=outcome.error,
        summary=outcome.summary,
        host_load=outcome.host_load,
    )


class _Attempt:
    """One carrying out of an exchange; `host_load` is there once the client has ended, however it ended."""

    def __init__(self, exchange: Exchange, path: Path, pinning: Pinning, clock: Clock) -> None:
        self._exchange = exchange
        self._path = path
        self._pinning = pinning
        self._clock = clock
        self.host_load: HostLoad | None = None

    def carry_out(self) -> Readings:
        """Return the readings.

        Raises:
            RunFailed: a server or the client failed, or there is nothing to read.
        """
        with ExitStack() as stack:
            servers = self._start_servers(stack)
            try:
                readings = self._run_client()
            except RunFailed as failure:
                _refuse_dead_server(servers, f"{failure}; ")
                raise
            _refuse_dead_server(servers)
            return readings

    def _start_servers(self, stack: ExitStack) -> Servers:
        listener = self._exchange.listener
        if listener is None:
            return ()
        servers = tuple(
            (host, stack.enter_context(host.start(listener.argv, cpu=self._pinning.server)))
            for host in self._path.servers
        )
        for host, program in servers:
            _await_listening(host, program, listener, self._clock)
        return servers

    def _run_client(self) -> Readings:
        before = read_counters(self._clock.now_s())
        try:
            completed = self._path.client.run(
                self._exchange.client_argv,
                timeout_s=self._exchange.client_timeout_s,
                cpu=self._pinning.client,
            )
        finally:
            self.host_load = host_load(before, read_counters(self._clock.now_s()))
        return self._exchange.read(completed)


def _await_listening(host: Host, program: RunningProgram, listener: Listener, clock: Clock) -> None:
    """Wait until a server listens.

    Raises:
        ProcessDied: it ended instead.
        NotReady: it does not listen after LISTEN_TIMEOUT_S.
    """
    deadline_s = clock.now_s() + LISTEN_TIMEOUT_S
    while not host.is_listening(listener.protocol, listener.port):
        status = program.poll()
        if status is not None:
            raise ProcessDied(_obituary(host, program, status), where=host.name)
        if clock.now_s() >= deadline_s:
            socket = f"{listener.argv[0]} to listen on {listener.protocol} port {listener.port}"
            raise NotReady(socket, LISTEN_TIMEOUT_S, _last_words(program), where=host.name)
        clock.pause(LISTEN_POLL_S)


def _refuse_dead_server(servers: Servers, complaint: str = "") -> None:
    """Raise ProcessDied if a server had failed under the client, whoever then answered it.

    Status 0 is one that served and went. `complaint` is what the client had to say.
    """
    for host, program in servers:
        status = program.poll()
        if status:
            raise ProcessDied(f"{complaint}{_obituary(host, program, status)}", where=host.name)


def _obituary(host: Host, program: RunningProgram, status: int) -> str:
    return f"the server on {host.name} ended with status {status}; it printed: {_last_words(program)}"


def _last_words(program: RunningProgram) -> str:
    return excerpt(program.output()) or "(nothing)"


def _target(path: Path) -> str:
    address = f"[{path.address}]" if path.address.version == 6 else str(path.address)
    return f"{address}:{path.port}" if path.port else str(path.address)
