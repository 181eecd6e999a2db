"""Network programming latency: how long one more Service takes until every node, and a client, has it.

SIG Scalability's definition counts from the change of the Service to the dataplane of every node. Here a
sample begins before the change is computed: `programming_us` runs until all nodes have it in force by their
mechanisms' own acknowledgement, `first_connection_us` until a connection from the client's Pod to the new
ClusterIP came about. `service_watch` begins an attempt every 2 ms, so first_connection_us is up to 2 ms too
long, and holds the time of one connection; it may be the shorter of the two, as the client's own node need
not be the last.

Whoever runs the cluster makes the changes, behind `ServiceChanger`. A trial ends with the first change that
fails, and is a row with its error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic_ns
from typing import Protocol

import numpy as np

from testbed.errors import NotReady
from testbed.inet import IPAddress
from testbed.inet import Protocol as IPProtocol
from testbed.measurement import service_watch
from testbed.measurement.clock import Clock
from testbed.measurement.connect import connect_server_command
from testbed.measurement.errors import ToolOutputError
from testbed.measurement.host import Completed, Path, RunningProgram
from testbed.measurement.readings import Exchange, Listener, Readings, any_address
from testbed.measurement.service_watch import DOWN, UP
from testbed.measurement.workload import Workload

TOOL = "service_watch"
TURN_TIMEOUT_S = 20.0
"""How long the Service may take to answer after it is in force everywhere, and to cease after its removal."""
POLL_S = 0.005


class ServiceChanger(Protocol):
    """Adds one Service to a running cluster, and removes it again."""

    @property
    def address(self) -> IPAddress:
        """The ClusterIP that the Service has whenever it is there."""

    @property
    def port(self) -> int:
        """The Service's port."""

    def add(self) -> None:
        """Add it; return when every node has it in force.

        Raises:
            RunFailed: a node does not take it.
        """

    def remove(self) -> None:
        """Remove it; return when no node has it any more.

        Raises:
            RunFailed: a node does not take the change.
        """


@dataclass(frozen=True, slots=True)
class Added:
    """One change, by the monotonic clock in nanoseconds: when it began, and when all nodes had it."""

    began_ns: int
    in_force_ns: int


def watch_command(address: str, port: int) -> tuple[str, ...]:
    """Return the command that tells when an address begins and ceases to answer."""
    return (sys.executable, "-I", str(service_watch.__file__), address, str(port))


def programming_exchange(
    workload: Workload, path: Path, changer: ServiceChanger, *, now_ns: Callable[[], int] = monotonic_ns
) -> Exchange:
    """Return the exchange that measures a workload of type programming; its client is the watch."""
    added: list[Added] = []
    change = partial(_add_and_remove, changer=changer, count=workload.count, added=added, now_ns=now_ns)
    return Exchange(
        client_argv=watch_command(str(changer.address), changer.port),
        client_timeout_s=TURN_TIMEOUT_S,
        read=lambda completed: _read(completed, added),
        listener=Listener(
            connect_server_command(path.server_port, address=any_address(path.address)),
            IPProtocol.TCP,
            path.server_port,
        ),
        attend=change,
    )


def parse_watch(printed: str) -> list[tuple[str, int]]:
    """Return the turns that the watch has printed in whole lines: UP or DOWN, and the time in nanoseconds.

    Raises:
        ToolOutputError: it printed something else.
    """
    turns = []
    for line in printed[: printed.rfind("\n") + 1].splitlines():
        state, _, time = line.partition(" ")
        if state not in (UP, DOWN) or not time.isdecimal():
            raise ToolOutputError(TOOL, "it printed something other than turns", printed)
        turns.append((state, int(time)))
    return turns


def read_programming(printed: str, added: list[Added]) -> Readings:
    """Return the times of the changes that were made while the watch ran.

    Returns:
        Samples programming_us and first_connection_us, one a change; summary added_services.

    Raises:
        ToolOutputError: the watch did not see every change, or saw one before it was made.
    """
    first_ns = [time for state, time in parse_watch(printed) if state == UP]
    if len(first_ns) != len(added):
        raise ToolOutputError(TOOL, f"{len(first_ns)} of {len(added)} Services were seen to answer", printed)
    began_ns = np.array([each.began_ns for each in added], dtype=np.int64)
    first_connection_ns = np.array(first_ns, dtype=np.int64) - began_ns
    programming_ns = np.array([each.in_force_ns for each in added], dtype=np.int64) - began_ns
    if (first_connection_ns < 0).any():
        raise ToolOutputError(TOOL, "the Service answered before it was added", printed)
    samples = {"programming_us": programming_ns / 1000, "first_connection_us": first_connection_ns / 1000}
    return Readings(samples, {"added_services": float(len(added))})


def _read(completed: Completed, added: list[Added]) -> Readings:
    return read_programming(completed.stdout, added)


def _add_and_remove(
    program: RunningProgram,
    clock: Clock,
    *,
    changer: ServiceChanger,
    count: int,
    added: list[Added],
    now_ns: Callable[[], int],
) -> None:
    """Add and remove the Service `count` times, waiting each time until the watch has seen it."""
    watch = _Turns(program, clock)
    watch.await_turn(DOWN, "the Service that is to be added not to answer yet")
    for _ in range(count):
        began_ns = now_ns()
        changer.add()
        try:
            added.append(Added(began_ns, now_ns()))
            watch.await_turn(UP, "the added Service to answer")
        finally:
            changer.remove()
        watch.await_turn(DOWN, "the removed Service to answer no more")


class _Turns:
    """The turns that a running watch prints, taken one by one."""

    def __init__(self, program: RunningProgram, clock: Clock) -> None:
        self._program = program
        self._clock = clock
        self._taken = 0

    def await_turn(self, wanted: str, condition: str) -> None:
        """Wait for the next turn, which must be the wanted one.

        Raises:
            NotReady: there is none in time.
            ToolOutputError: it is the other one, or the watch has ended.
        """
        deadline_s = self._clock.now_s() + TURN_TIMEOUT_S
        while len(turns := parse_watch(self._program.output())) == self._taken:
            status = self._program.poll()
            if status is not None:
                raise ToolOutputError(TOOL, f"it ended with status {status}", self._program.output())
            if self._clock.now_s() >= deadline_s:
                raise NotReady(condition, TURN_TIMEOUT_S, f"{self._taken} turns, and no other")
            self._clock.pause(POLL_S)
        state, _ = turns[self._taken]
        if state != wanted:
            raise ToolOutputError(TOOL, f"waited for {condition}; it turned {state}")
        self._taken += 1
