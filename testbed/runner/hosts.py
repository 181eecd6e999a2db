"""Network namespaces as measurement sees them: places to run programs in."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.drivers.shell import inside
from testbed.emulation.namespaces import entered
from testbed.emulation.processes import ManagedProcess, Processes
from testbed.errors import NotReady, ProgramMissing
from testbed.inet import Protocol
from testbed.measurement.host import Completed

_TCP_LISTEN = "0A"
_SOCKET_TABLES = {Protocol.TCP: ("tcp", "tcp6"), Protocol.UDP: ("udp", "udp6")}


@dataclass(frozen=True, slots=True)
class NamespaceHost:
    """A named network namespace. `name` is what records show, `namespace` what the kernel knows.

    `purpose` says what programs are started for. It keeps apart what they write: a program's output goes to a
    log that another one of the same name, purpose and namespace would share.
    """

    name: str
    namespace: str
    processes: Processes
    purpose: str = ""

    def run(self, argv: Sequence[str], *, timeout_s: float, cpu: int | None = None) -> Completed:
        """Run a program to its end; see `measurement.host.Host`."""
        try:
            done = subprocess.run(
                inside(self.namespace, [*_pinned(cpu), *argv]),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise NotReady(f"`{argv[0]}` to end", timeout_s, "still running", where=self.name) from error
        except FileNotFoundError as error:
            raise ProgramMissing(argv[0], argv[0]) from error
        return Completed(tuple(argv), done.returncode, done.stdout, done.stderr)

    @contextmanager
    def start(self, argv: Sequence[str], *, cpu: int | None = None) -> Iterator[NamespaceProgram]:
        """Start a program that runs until the context ends; see `measurement.host.Host`."""
        purpose = f", {self.purpose}," if self.purpose else ""
        name = f"{Path(argv[0]).name}{purpose} in {self.name}"
        process = self.processes.start(name, argv, namespace=self.namespace, cpu=cpu)
        try:
            yield NamespaceProgram(tuple(argv), process)
        finally:
            self.processes.stop(process)

    def is_listening(self, protocol: Protocol, port: int) -> bool:
        """Whether a socket of this namespace is bound to the port (and listens, for TCP)."""
        with entered(self.namespace):
            tables = [Path(f"/proc/thread-self/net/{name}") for name in _SOCKET_TABLES[protocol]]
            return any(_has_port(table, port, protocol) for table in tables)


@dataclass(frozen=True, slots=True)
class NamespaceProgram:
    """A program that runs in a namespace; see `measurement.host.RunningProgram`."""

    argv: tuple[str, ...]
    process: ManagedProcess

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self.process.poll()

    def output(self) -> str:
        """Return what it has written so far."""
        return self.process.output()

    def hold(self) -> bool:
        """Stop it where it is; return whether it is seen stopped."""
        return self.process.hold()

    def release(self) -> None:
        """Let it go on after `hold`."""
        self.process.release()

    def wait(self, timeout_s: float) -> Completed:
        """Wait for its end; see `measurement.host.RunningProgram`."""
        try:
            status = self.process.popen.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise NotReady(f"`{self.argv[0]}` to end", timeout_s, "still running") from error
        return Completed(self.argv, status, self.process.output(), "")


def _has_port(table: Path, port: int, protocol: Protocol) -> bool:
    """Whether a socket table of the kernel (proc(5): local address, state, in hexadecimal) has it."""
    if not table.exists():
        return False
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        is_bound = int(fields[1].rpartition(":")[2], 16) == port
        if is_bound and (protocol is not Protocol.TCP or fields[3] == _TCP_LISTEN):
            return True
    return False


def _pinned(cpu: int | None) -> list[str]:
    return [] if cpu is None else ["taskset", "-c", str(cpu)]
