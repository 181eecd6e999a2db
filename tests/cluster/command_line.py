"""The command `testbed` as a stranger calls it, and what a call leaves on the machine.

A call's processes carry a mark in their environment, by which they, and the namespaces they are in, are found
among everybody else's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime, monotonic, sleep
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
INPUTS = Path(__file__).with_name("inputs")
TESTBED = str(Path(sys.executable).with_name("testbed"))
QUICKSTART = ROOT / "experiments" / "quickstart.yaml"
_MARK = "TESTBED_CALL"
_NAMESPACE_KINDS = ("net", "mnt", "pid", "ipc", "uts", "user")
_CLEAN_S = 20.0
_POLL_S = 0.02


@dataclass(slots=True)
class Call:
    """A running call. `seen_namespaces` gathers what `look` finds its processes in."""

    popen: subprocess.Popen[str]
    mark: str
    own_namespaces: frozenset[str]
    seen_namespaces: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)

    def processes(self) -> dict[int, str]:
        """Return the call's processes, its own included: command line by process id."""
        wanted = f"{_MARK}={self.mark}".encode()
        return {pid: _cmdline(pid) for pid in _pids() if wanted in _environment(pid)}

    def look(self) -> dict[int, str]:
        """Return the call's processes and remember the namespaces that they are in."""
        found = self.processes()
        self.seen_namespaces |= {name for pid in found for name in _namespaces(pid)} - self.own_namespaces
        return found

    def wait_for_line(self, text: str, timeout_s: float = 60.0) -> None:
        """Read standard error until a line has a text."""
        assert self.popen.stderr is not None
        deadline = monotonic() + timeout_s
        for line in self.popen.stderr:
            self.said.append(line)
            if text in line:
                return
            assert monotonic() < deadline, self.said
        raise AssertionError(f"it ended without saying '{text}': {self.said}")

    def finish(self, timeout_s: float = 90.0) -> subprocess.CompletedProcess[str]:
        """Wait for the end."""
        out, err = self.popen.communicate(timeout=timeout_s)
        everything = "".join(self.said) + err
        return subprocess.CompletedProcess(self.popen.args, self.popen.returncode, out, everything)

    def remains(self, ended_s: float) -> list[str]:
        """Return what is left of the call: processes, and namespaces that something is still in or on.

        The kernel gives the number of a namespace that is gone to the next one. So processes that began
        after the end of the call, `ended_s` on the clock since boot, are others', and a namespace that was
        once found gone is not looked for again.
        """
        left = [f"process {pid}: {shown}" for pid, shown in self.processes().items()]
        inhabited = {
            name: f"process {pid} is in {name}: {_cmdline(pid)}"
            for pid in _pids()
            if _started_s(pid) < ended_s
            for name in _namespaces(pid)
            if name in self.seen_namespaces
        }
        mounts = Path("/proc/self/mountinfo").read_text()
        mounted = {name: f"{name} is mounted" for name in self.seen_namespaces if name in mounts}
        self.seen_namespaces &= inhabited.keys() | mounted.keys()
        return [*left, *inhabited.values(), *mounted.values()][:20]


@dataclass(frozen=True, slots=True)
class Machine:
    """What everyone on the machine sees, outside any sandbox."""

    links: frozenset[str]
    named_namespaces: frozenset[str]
    mounts: frozenset[str]

    @classmethod
    def now(cls) -> Machine:
        """Look."""
        shown = json.loads(_output("ip", "-json", "link", "show"))
        mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
        return cls(
            frozenset(link["ifname"] for link in shown),
            frozenset(_output("ip", "netns", "list").splitlines()),
            frozenset(f"{fields[3]} on {fields[4]}" for fields in mounts),
        )

    def added(self) -> list[str]:
        """Return what is there now and was not then."""
        now = Machine.now()
        return sorted(
            (now.links - self.links)
            | (now.named_namespaces - self.named_namespaces)
            | (now.mounts - self.mounts)
        )


@contextmanager
def calling(
    arguments: Sequence[str | Path],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> Iterator[Call]:
    """Start `testbed`, behind a prefix of other programs; kill it at the end if it still runs.

    Args:
        arguments: what comes after `testbed`.
        folder: takes the call's temporary files.
        environment: what to add to the environment.
        prefix: programs that run it, each with its arguments.
    """
    mark = uuid.uuid4().hex
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    own = frozenset(_namespaces(os.getpid()))
    popen = subprocess.Popen(
        # A shell that runs the tests in the background has children ignore Ctrl-C.
        ["env", "--default-signal=INT", *prefix, TESTBED, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(scratch), _MARK: mark, **(environment or {})},
        start_new_session=True,
    )
    try:
        yield Call(popen, mark, own)
    finally:
        if popen.poll() is None:
            popen.send_signal(signal.SIGKILL)
        popen.communicate()


def call(
    arguments: Sequence[str | Path],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run `testbed` to its end."""
    with calling(arguments, folder, environment=environment, prefix=prefix) as running:
        return running.finish()


def await_clean(running: Call, before: Machine) -> None:
    """Wait until nothing is left of a call that has ended."""
    ended_s = clock_gettime(CLOCK_BOOTTIME)

    def left() -> list[str]:
        return [*running.remains(ended_s), *before.added()]

    until(lambda: not left(), left, _CLEAN_S)


def until(holds: Callable[[], bool], seen: Callable[[], object], timeout_s: float) -> None:
    """Poll until a condition holds; fail with what is seen."""
    deadline = monotonic() + timeout_s
    while not holds():
        assert monotonic() < deadline, seen()
        sleep(_POLL_S)


def is_one_message(stderr: str) -> bool:
    """Whether standard error ends in one line of an error, and shows no traceback."""
    told = [line for line in stderr.splitlines() if line.startswith("testbed: ")]
    return len(told) == 1 and "Traceback" not in stderr


def programs_without(folder: Path, *left_out: str) -> str:
    """Make a folder that has every program of the system but some; return it as a PATH."""
    folder.mkdir()
    for place in ("/usr/bin", "/usr/sbin"):
        for program in sorted(Path(place).iterdir()):
            if program.name not in left_out and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    return str(folder)


def path_with(folder: Path, program: str, script: str) -> str:
    """Put a shell script in the place of a program; return the PATH that finds it first."""
    folder.mkdir(exist_ok=True)
    stand_in = folder / program
    stand_in.write_text(f"#!/bin/sh\n{script}\n")
    stand_in.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def _pids() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def _environment(pid: int) -> bytes:
    return _read(Path(f"/proc/{pid}/environ"))


def _cmdline(pid: int) -> str:
    return _read(Path(f"/proc/{pid}/cmdline")).replace(b"\0", b" ").decode(errors="replace").strip()


def _started_s(pid: int) -> float:
    """Return when a process began, on the clock since boot (proc(5): field 22 of stat, in ticks)."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK") if fields else float("inf")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def _namespaces(pid: int) -> Iterator[str]:
    """Yield a process's namespaces, as `net:[4026531840]`."""
    for kind in _NAMESPACE_KINDS:
        try:
            yield str(Path(f"/proc/{pid}/ns/{kind}").readlink())
        except OSError:  # it has ended meanwhile
            return


def answers(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return the results that `testbed probe --json` printed."""
    assert done.returncode == 0, done.stderr
    results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return results
