"""Clients that idle before their first message are started together and held, so that a cell idles once.

sockperf connects and then sleeps for two seconds before it sends anything. Of a dozen latency trials in a
cell most of the time would be that sleep. So their clients are started at once, stopped (SIGSTOP) while
they sleep, and each goes on (SIGCONT) when its turn comes: its sleep has then run out and it starts
measuring at once.

A client is held only if it was seen stopped before its sleep can have ended; otherwise it is ended, and its
trial starts a client of its own as if there had been no head start. Measurements never overlap, and results
do not depend on who had one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

from testbed.errors import RunFailed
from testbed.inet import Protocol
from testbed.measurement.host import Path, RunningProgram
from testbed.measurement.probes import prepare_exchange
from testbed.measurement.readings import Exchange
from testbed.measurement.servers import Servers, start_servers
from testbed.measurement.surroundings import Surroundings
from testbed.measurement.workload import Workload

SETTLE_S = 0.4
"""How long clients get to connect before they are stopped; far less than they idle."""
POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trial to come: what to measure over which path."""

    index: int
    workload: Workload
    protocol: str
    path: Path


@dataclass(frozen=True, slots=True)
class Held:
    """A trial whose servers run and whose client is stopped before its first message."""

    exchange: Exchange
    servers: Servers
    client: RunningProgram
    resources: ExitStack


class HeadStart:
    """The held trials of a cell. A context manager: leaving it ends what was not taken."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._clock = surroundings.clock
        self._held: dict[int, Held] = {}

    def __enter__(self) -> HeadStart:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for held in self._held.values():
            held.resources.close()
        self._held.clear()

    def begin(self, candidates: Iterable[Candidate]) -> None:
        """Start the clients that idle, all at once, and hold them.

        Left out are trials that would share a server's socket with another one.
        """
        prepared = [(each, self._prepare(each)) for each in candidates]
        idling = [(each, exchange) for each, exchange in prepared if exchange.idle_s > SETTLE_S]
        claims = Counter(claim for each, exchange in idling for claim in _sockets(each.path, exchange))
        began_s: dict[int, float] = {}
        for each, exchange in idling:
            if all(claims[claim] == 1 for claim in _sockets(each.path, exchange)):
                self._start(each, exchange, began_s)
        self._hold_all(began_s)

    def take(self, index: int) -> Held | None:
        """Return the held trial of an index, which is then the caller's; None if it has none."""
        return self._held.pop(index, None)

    def _prepare(self, candidate: Candidate) -> Exchange:
        return prepare_exchange(
            candidate.workload, candidate.protocol, candidate.path, self._surroundings.scratch_dir
        )

    def _start(self, candidate: Candidate, exchange: Exchange, began_s: dict[int, float]) -> None:
        with ExitStack() as stack:
            try:
                servers = start_servers(exchange, candidate.path, self._surroundings, stack)
            except RunFailed:
                return  # the trial itself will meet the failure, and report it as its own
            began_s[candidate.index] = self._clock.now_s()
            client = stack.enter_context(
                candidate.path.client.start(exchange.client_argv, cpu=self._surroundings.pinning.client)
            )
            self._held[candidate.index] = Held(exchange, servers, client, stack.pop_all())

    def _hold_all(self, began_s: dict[int, float]) -> None:
        if began_s:
            self._pause_until(max(began_s.values()) + SETTLE_S)
        for index, began in began_s.items():
            held = self._held[index]
            if not (held.client.hold() and self._clock.now_s() - began < held.exchange.idle_s):
                self._held.pop(index).resources.close()

    def _pause_until(self, time_s: float) -> None:
        while self._clock.now_s() < time_s:
            self._clock.pause(POLL_S)


def _sockets(path: Path, exchange: Exchange) -> list[tuple[str, Protocol, int]]:
    listener = exchange.listener
    return (
        [] if listener is None else [(host.name, listener.protocol, listener.port) for host in path.servers]
    )
