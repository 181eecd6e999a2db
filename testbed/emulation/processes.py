"""Long-running programs of a run: started with a log each, watched, ended in reverse order.

Nothing here searches for processes by name: what this module did not start, it does not know.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType

from testbed.drivers.shell import inside
from testbed.errors import NotReady, ProcessDied, ProgramMissing

_POLL_S = 0.005
_STOP_S = 5.0
_HOLD_S = 1.0
_DYING_S = 0.3
_STOPPED = frozenset("Tt")
_GONE = frozenset({"", "X", "Z"})
_TAIL_BYTES = 2000


@dataclass(slots=True)
class ManagedProcess:
    """A program that runs until it is stopped. `name` says what it is in messages."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self.popen.poll()

    def output(self) -> str:
        """Return what it has written."""
        return self.log.read_bytes().decode(errors="replace")

    def hold(self) -> bool:
        """Stop it where it is (SIGSTOP); return whether it is seen stopped."""
        self.popen.send_signal(signal.SIGSTOP)
        deadline = monotonic() + _HOLD_S
        while monotonic() < deadline:
            state = self._state()
            if state in _STOPPED:
                return True
            if state in _GONE:
                return False
            sleep(_POLL_S)
        return False

    def release(self) -> None:
        """Let it go on after `hold` (SIGCONT)."""
        self.popen.send_signal(signal.SIGCONT)

    def _state(self) -> str:
        """Return its state as proc(5) has it: a letter behind the name, "" once it is gone."""
        try:
            text = Path(f"/proc/{self.popen.pid}/stat").read_text()
        except FileNotFoundError:
            return ""
        return text.rpartition(")")[2].split()[0]

    def check(self) -> None:
        """Raise if it has ended.

        Raises:
            ProcessDied: it has; carries the end of its log.
        """
        status = self.popen.poll()
        if status is not None:
            said = self.output().strip()[-_TAIL_BYTES:] or "(it wrote nothing)"
            how = f"by signal {-status}" if status < 0 else f"with status {status}"
            raise ProcessDied(f"{self.name} ended {how}: {said}")

    def stop(self) -> None:
        """End it: SIGTERM, then, if it does not go, SIGKILL."""
        if self.popen.poll() is None:
            self.popen.terminate()
            self.popen.send_signal(signal.SIGCONT)  # a held program takes no other signal
            try:
                self.popen.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


@dataclass(slots=True)
class Processes:
    """All long-running programs of a run. A context manager: leaving it stops them, the last one first."""

    folder: Path
    running: list[ManagedProcess] = field(default_factory=list)

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.running:
            if process.popen.poll() is None:
                process.popen.terminate()
                process.popen.send_signal(signal.SIGCONT)
        while self.running:
            self.running.pop().stop()

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        namespace: str = "",
        environment: Mapping[str, str] | None = None,
        cpu: int | None = None,
        piped: bool = False,
    ) -> ManagedProcess:
        """Start a program in a namespace, pinned to a processor; its output goes to `<folder>/<name>.log`.

        With `piped`, its standard input and output are pipes to us, and the log has standard error alone.

        Raises:
            ProgramMissing: it is not installed.
        """
        log = self.folder / f"{name.replace('/', '_').replace(':', '_')}.log"
        pinned = ["taskset", "-c", str(cpu)] if cpu is not None else []
        with log.open("ab") as output:
            try:
                popen = subprocess.Popen(
                    inside(namespace, [*pinned, *argv]),
                    stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                    stdout=subprocess.PIPE if piped else output,
                    stderr=output,
                    env={**os.environ, **(environment or {})},
                )
            except FileNotFoundError as error:
                raise ProgramMissing(argv[0], argv[0]) from error
        process = ManagedProcess(name, popen, log)
        self.running.append(process)
        return process

    def stop(self, process: ManagedProcess) -> None:
        """Stop one program and forget it."""
        process.stop()
        self.running.remove(process)

    def check(self) -> None:
        """Raise if any program has ended by itself.

        Raises:
            ProcessDied: the first that has.
        """
        for process in self.running:
            process.check()

    def check_soon(self) -> None:
        """Like `check`, but gives a program that is just dying a moment to be found dead.

        Raises:
            ProcessDied: the first that has ended.
        """
        deadline = monotonic() + _DYING_S
        while monotonic() < deadline:
            self.check()
            sleep(_POLL_S)

    def wait_until(self, condition: str, holds: Callable[[], bool | str], timeout_s: float) -> None:
        """Poll until a condition holds, watching that no program ends meanwhile.

        Args:
            condition: what is waited for, in words.
            holds: True when it does; False or a text that says what is seen instead.
            timeout_s: how long at most.

        Raises:
            NotReady: it does not hold in time; carries what was last seen.
            ProcessDied: a program ended.
        """
        deadline = monotonic() + timeout_s
        while True:
            seen = holds()
            if seen is True:
                return
            self.check()
            if monotonic() > deadline:
                raise NotReady(condition, timeout_s, seen or "not yet")
            sleep(_POLL_S)


def wait_for_line(process: ManagedProcess, line: str, processes: Processes, timeout_s: float) -> None:
    """Wait until a program has written a line.

    Raises:
        NotReady, ProcessDied: as for `Processes.wait_until`.
    """
    processes.wait_until(
        f"{process.name} to say '{line}'",
        lambda: line in process.output().splitlines() or process.output()[-200:],
        timeout_s,
    )
