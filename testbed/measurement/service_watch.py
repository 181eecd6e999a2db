"""Program: tries one address for connections, over and over, and says when it begins and ceases to answer.

Run inside the client's namespace as `python -I service_watch.py ADDRESS PORT`. Uses the standard library
alone and imports nothing of the testbed. Begins an attempt with a fresh socket every INTERVAL_NS, whatever
becomes of those before it, so that it asks equally often of an address that refuses, one that does not
answer, and one that is served. An attempt that is not answered within LIFETIME_NS has failed.

Prints a line at every turn, beginning with the first: `up NS` once a connection came about, `down NS` after
ATTEMPTS_UNTIL_DOWN failures in a row; NS is the monotonic clock's time in nanoseconds. Goes on until it is
ended.
"""

from __future__ import annotations

import argparse
import errno
import gc
import select
import socket
import struct
from collections.abc import Callable
from time import monotonic_ns

INTERVAL_NS = 2_000_000
LIFETIME_NS = 100_000_000
ATTEMPTS_UNTIL_DOWN = 25
UP = "up"
DOWN = "down"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Watch:
    """Attempts under way, and what they say of the address; `tell` is told of every turn."""

    def __init__(self, address: str, port: int, tell: Callable[[str, int], None]) -> None:
        self._target = (address, port)
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._tell = tell
        self._began_ns: dict[socket.socket, int] = {}
        self._failures = 0
        self._state = ""

    def begin(self, now_ns: int) -> None:
        """Begin an attempt."""
        attempt = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._began_ns[attempt] = now_ns
        status = attempt.connect_ex(self._target)
        if status != errno.EINPROGRESS:
            self._end(attempt, status, now_ns)

    def wait(self, until_ns: int) -> None:
        """Take answers until a time, then give up the attempts that are too old by then."""
        while True:
            left_s = max(0, until_ns - monotonic_ns()) / 1e9
            _, answered, _ = select.select([], list(self._began_ns), [], left_s)
            now_ns = monotonic_ns()
            for attempt in answered:
                self._end(attempt, attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), now_ns)
            if now_ns >= until_ns:
                break
        for attempt in [each for each, began in self._began_ns.items() if now_ns - began > LIFETIME_NS]:
            self._end(attempt, errno.ETIMEDOUT, now_ns)

    def _end(self, attempt: socket.socket, status: int, now_ns: int) -> None:
        del self._began_ns[attempt]
        attempt.close()
        self._failures = self._failures + 1 if status else 0
        if not status:
            self._turn(UP, now_ns)
        elif self._failures == ATTEMPTS_UNTIL_DOWN:
            self._turn(DOWN, now_ns)

    def _turn(self, state: str, now_ns: int) -> None:
        if state != self._state:
            self._state = state
            self._tell(state, now_ns)


def main() -> None:
    """Read the command line and watch."""
    parser = argparse.ArgumentParser(description="Say when an address begins and ceases to answer.")
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    gc.disable()
    watch = Watch(arguments.address, arguments.port, _print)
    due_ns = monotonic_ns()
    while True:
        watch.begin(due_ns)
        due_ns = max(due_ns + INTERVAL_NS, monotonic_ns())
        watch.wait(due_ns)


def _print(state: str, now_ns: int) -> None:
    print(state, now_ns, flush=True)  # noqa: T201  its output is what it is for


if __name__ == "__main__":
    main()
