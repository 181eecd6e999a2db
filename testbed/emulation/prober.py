"""Tries connections from many Pods at once, and says how each ended: answered by whom, refused, or nothing.

One process, one loop: a socket belongs to the namespace in which it was opened, so the prober enters a Pod,
opens its sockets and leaves again.
"""

from __future__ import annotations

import errno
import json
import selectors
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic

from testbed.emulation.namespaces import entered
from testbed.inet import IPAddress, Protocol

_ROUNDS = ((256, 0.25), (64, 0.35), (64, 0.4))
"""How many attempts at once, and which share of the time each gets, in the rounds of a probe."""
_QUESTION = b"who?\n"


class Verdict(StrEnum):
    """How an attempt ended."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One connection to try, from the namespace of a Pod. `source` and `target` are names for the answer."""

    namespace: str
    source: str
    target: str
    address: IPAddress
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `endpoint` is the Pod that answered, `seen_as` the client address it saw."""

    attempt: Attempt
    verdict: Verdict
    endpoint: str = ""
    seen_as: str = ""


@dataclass(slots=True)
class _Trial:
    attempt: Attempt
    stream: socket.socket
    deadline: float
    received: bytes = b""


def probe(attempts: Sequence[Attempt], *, timeout_s: float = 1.0) -> tuple[Outcome, ...]:
    """Carry out attempts, many at a time; return their outcomes in the order of the attempts.

    An attempt without an answer after `timeout_s` counts as blocked. Within that time it is made three
    times, each time with fewer beside it: a burst of first packets makes a user-space switch drop some, and
    TCP would repeat one after a second only. Neighbours in the order should share a namespace: it is
    entered once.

    Raises:
        OSError: a namespace does not exist.
    """
    outcomes: dict[Attempt, Outcome] = {}
    left: Sequence[Attempt] = attempts
    for at_once, share in _ROUNDS:
        prober = _Prober(timeout_s * share, at_once)
        prober.run(left)
        outcomes.update(prober.outcomes)
        left = [attempt for attempt in left if outcomes[attempt].verdict is Verdict.BLOCKED]
    return tuple(outcomes[attempt] for attempt in attempts)


class _Prober:
    def __init__(self, timeout_s: float, at_once: int) -> None:
        self.outcomes: dict[Attempt, Outcome] = {}
        self._timeout_s = timeout_s
        self._at_once = at_once
        self._selector = selectors.DefaultSelector()
        self._trials: dict[int, _Trial] = {}

    def run(self, attempts: Iterable[Attempt]) -> None:
        waiting = deque(attempts)
        while waiting or self._trials:
            self._fill(waiting)
            for key, events in self._selector.select(0.02):
                self._progress(self._trials[key.fd], events)
            self._expire()

    def _fill(self, waiting: deque[Attempt]) -> None:
        while waiting and len(self._trials) < self._at_once:
            namespace = waiting[0].namespace
            with entered(namespace):
                while waiting and waiting[0].namespace == namespace and len(self._trials) < self._at_once:
                    self._begin(waiting.popleft())

    def _begin(self, attempt: Attempt) -> None:
        family = socket.AF_INET if attempt.address.version == 4 else socket.AF_INET6
        kind = socket.SOCK_STREAM if attempt.protocol is Protocol.TCP else socket.SOCK_DGRAM
        stream = socket.socket(family, kind)
        stream.setblocking(False)
        trial = _Trial(attempt, stream, monotonic() + self._timeout_s)
        self._trials[stream.fileno()] = trial
        self._selector.register(stream, selectors.EVENT_WRITE)
        status = stream.connect_ex((str(attempt.address), attempt.port))
        if status not in {0, errno.EINPROGRESS}:
            self._fail(trial, status)

    def _progress(self, trial: _Trial, events: int) -> None:
        try:
            status = trial.stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if status:
                self._fail(trial, status)
            elif events & selectors.EVENT_WRITE:
                trial.stream.send(_QUESTION)
                self._selector.modify(trial.stream, selectors.EVENT_READ)
            else:
                self._receive(trial)
        except OSError as error:
            self._fail(trial, error.errno or errno.EIO)

    def _receive(self, trial: _Trial) -> None:
        data = trial.stream.recv(65_536)
        trial.received += data
        is_datagram = trial.attempt.protocol is not Protocol.TCP
        if is_datagram or trial.received.endswith(b"\n") or not data:
            self._succeed(trial)

    def _succeed(self, trial: _Trial) -> None:
        endpoint, seen_as = _who(trial.received)
        self._end(trial, Outcome(trial.attempt, Verdict.ALLOWED, endpoint, seen_as))

    def _fail(self, trial: _Trial, status: int) -> None:
        refused = status in {errno.ECONNREFUSED, errno.ECONNRESET}
        self._end(trial, Outcome(trial.attempt, Verdict.REFUSED if refused else Verdict.BLOCKED))

    def _expire(self) -> None:
        now = monotonic()
        for trial in list(self._trials.values()):
            if now > trial.deadline:
                self._end(trial, Outcome(trial.attempt, Verdict.BLOCKED))

    def _end(self, trial: _Trial, outcome: Outcome) -> None:
        self.outcomes[trial.attempt] = outcome
        del self._trials[trial.stream.fileno()]
        self._selector.unregister(trial.stream)
        trial.stream.close()


def _who(received: bytes) -> tuple[str, str]:
    """Return the Pod that an answer names and the client address it saw; "" where another program spoke."""
    try:
        answer = json.loads(received)
        return str(answer["pod"]), str(answer["client"]).rsplit(":", 1)[0]
    except (ValueError, KeyError, TypeError):
        return "", ""
