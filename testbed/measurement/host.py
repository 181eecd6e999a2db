"""Where a probe runs: the little that measurement asks of whoever built the network.

`emulation` provides these; tests provide fakes. Measurement itself knows neither namespaces nor Mininet.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from testbed.inet import IPAddress
from testbed.inet import Protocol as IPProtocol


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that has ended."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


class RunningProgram(Protocol):
    """A program that goes on in the background until it is stopped."""

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""

    def output(self) -> str:
        """Return what it has written so far, stdout and stderr together."""

    def hold(self) -> bool:
        """Stop it where it is; return whether it is seen stopped (False if it has ended instead)."""

    def release(self) -> None:
        """Let it go on after `hold`."""

    def wait(self, timeout_s: float) -> Completed:
        """Wait for its end; stdout of the result has all that it wrote, stderr nothing.

        Raises:
            NotReady: it had not ended after `timeout_s`.
        """


class Host(Protocol):
    """A network namespace that programs can be run in: a Pod, or an end of the raw veth pair."""

    @property
    def name(self) -> str:
        """Readable name, as `namespace/pod`."""

    def run(self, argv: Sequence[str], *, timeout_s: float, cpu: int | None = None) -> Completed:
        """Run a program to its end, pinned to a processor. A status other than 0 is returned, not raised.

        Raises:
            NotReady: it had not ended after `timeout_s`.
        """

    def start(self, argv: Sequence[str], *, cpu: int | None = None) -> AbstractContextManager[RunningProgram]:
        """Start a program; leaving the context ends it and waits for it."""

    def is_listening(self, protocol: IPProtocol, port: int) -> bool:
        """Whether some socket of this namespace listens on the port (bound, for UDP)."""


@dataclass(frozen=True, slots=True)
class Path:
    """A way a packet goes, and the two ends of it.

    `address` and `port` are what the client aims at; `server_port` is where servers listen (they differ
    behind a Service). `servers` has every Pod that may answer.
    """

    name: str
    client: Host
    servers: tuple[Host, ...]
    address: IPAddress
    port: int
    server_port: int


@dataclass(frozen=True, slots=True)
class Pinning:
    """Which processor the client and the servers run on; None leaves them to the scheduler."""

    client: int | None
    server: int | None
