"""One trial: start the servers, wait until they listen, run the client, read what it says.

A trial never raises RunFailed: what failed becomes an outcome with the error's text, a row like any other.
It is carried out once and never again. Knows no tool; `probes` does.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from testbed.errors import RunFailed
from testbed.measurement.head_start import Held
from testbed.measurement.host import Completed, Path
from testbed.measurement.host_load import host_load, read_counters
from testbed.measurement.plan import PlannedTrial
from testbed.measurement.probes import prepare_exchange
from testbed.measurement.programming import ServiceChanger
from testbed.measurement.readings import Exchange, Readings, Samples
from testbed.measurement.servers import refuse_dead_server, start_servers
from testbed.measurement.surroundings import Surroundings
from testbed.measurement.workload import Workload
from testbed.records.schema import HostLoad, TrialRecord, TrialStatus

_SOURCE_TREE = f"{FilePath(__file__).resolve().parents[2]}/"


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """How a trial went. `host_load` is None if no client ran; a failed trial has no samples and no summary.

    `started_s` is on the clock's scale; the host load is that of the client's run alone, start-up included
    (a sockperf without a head start idles for its first 2 s).
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
    surroundings: Surroundings,
    held: Held | None = None,
    changer: ServiceChanger | None = None,
) -> TrialOutcome:
    """Carry out one trial and return how it went; files that tools leave in the scratch folder are removed.

    `held` is the trial's head start, if it had one; `changer` is for workloads of type programming.
    """
    exchange = (
        held.exchange
        if held
        else prepare_exchange(workload, protocol, path, surroundings.scratch_dir, changer)
    )
    clock = surroundings.clock
    attempt = _Attempt(exchange, path, surroundings)
    started_s = clock.now_s()
    readings, error = Readings({}, {}), ""
    try:
        readings = attempt.carry_out(held)
    except RunFailed as failure:
        error = str(failure)
    finally:
        for file in exchange.scratch_files:
            file.unlink(missing_ok=True)
    return TrialOutcome(
        client=path.client.name,
        server=" ".join(server.name for server in path.servers),
        target=_target(path),
        argv=_recorded(exchange.client_argv),
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

    def __init__(self, exchange: Exchange, path: Path, surroundings: Surroundings) -> None:
        self._exchange = exchange
        self._path = path
        self._surroundings = surroundings
        self.host_load: HostLoad | None = None

    def carry_out(self, held: Held | None) -> Readings:
        """Return the readings; a held client goes on instead of a new one being started.

        Raises:
            RunFailed: a server or the client failed, or there is nothing to read.
        """
        with ExitStack() as stack:
            if held is None:
                servers = start_servers(self._exchange, self._path, self._surroundings, stack)
            else:
                servers = held.servers
                stack.push(held.resources)
            try:
                readings = self._run_client(held)
            except RunFailed as failure:
                refuse_dead_server(servers, f"{failure}; ")
                raise
            refuse_dead_server(servers)
            return readings

    def _run_client(self, held: Held | None) -> Readings:
        clock = self._surroundings.clock
        before = read_counters(clock.now_s())
        try:
            completed = self._completed(held)
        finally:
            self.host_load = host_load(before, read_counters(clock.now_s()))
        return self._exchange.read(completed)

    def _completed(self, held: Held | None) -> Completed:
        exchange, client = self._exchange, self._path.client
        cpu = self._surroundings.pinning.client
        if held is not None:
            held.client.release()
            return held.client.wait(exchange.client_timeout_s)
        if exchange.attend is None:
            return client.run(exchange.client_argv, timeout_s=exchange.client_timeout_s, cpu=cpu)
        with client.start(exchange.client_argv, cpu=cpu) as program:
            exchange.attend(program, self._surroundings.clock)
            return Completed(exchange.client_argv, 0, program.output(), "")


def _recorded(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command as a record shows it: our own programs by their place in the source tree."""
    names = {sys.executable: "python"}
    return tuple(names.get(word, word.removeprefix(_SOURCE_TREE)) for word in argv)


def _target(path: Path) -> str:
    address = f"[{path.address}]" if path.address.version == 6 else str(path.address)
    return f"{address}:{path.port}" if path.port else str(path.address)
