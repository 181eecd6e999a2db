"""The sandbox: new namespaces for everything a run creates, so that nothing of it can stay behind or be seen.

A job runs in a child that is process 1 of a new PID namespace, with network, mount, IPC and UTS namespaces
of its own and, for an ordinary user, a user namespace. If the testbed dies, by whatever signal, the kernel
ends the child; if the child ends, the kernel ends every process below it and takes the links, namespaces
and mounts away.

The two speak in JSON lines: the job on the child's standard input, events on a pipe.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from testbed.drivers.shell import NETNS_FOLDER
from testbed.emulation.namespaces import loopback_up
from testbed.errors import EnvironmentProblem, RunFailed, TestbedError

Json = dict[str, Any]  # a JSON object; its values are checked where they are read

RUN_FOLDER = Path("/run/testbed")
"""Sockets, databases and logs of a run, on the sandbox's own /run: short, as unix socket paths must be."""
_GO = "go"
_TUN = Path("/dev/net/tun")


def run_in_sandbox(
    module: str, job: Mapping[str, object], on_event: Callable[[Json], None], log: Path | None = None
) -> None:
    """Run a module as a sandbox's process 1, hand it a job, and pass on its events until it ends.

    Args:
        module: a module whose main calls `serve`.
        job: a JSON object.
        on_event: called with each event but errors.
        log: file to keep what the child writes to standard error; None keeps it until the end only.

    Raises:
        TestbedError: whatever the job raised, with its exit code.
        RunFailed: the child died without a word.
    """
    reader, writer = os.pipe()
    with log.open("w+b") if log is not None else tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(
            [*_entry(), sys.executable, "-m", module, str(writer)],
            stdin=subprocess.PIPE,
            stdout=stderr,
            stderr=stderr,
            pass_fds=(writer,),
            start_new_session=True,  # Ctrl-C is for us alone; we then end the child
        )
        os.close(writer)
        has_hung_up = False
        try:
            with os.fdopen(reader, encoding="utf-8") as events:
                is_done = _converse(child, job, events, on_event)
            has_hung_up = True
        finally:
            if not has_hung_up:
                child.kill()
            _hang_up(child)
            status = child.wait()
        if not is_done:
            stderr.seek(0)
            raise _silent_death(status, stderr.read().decode(errors="replace"))


def serve(run_job: Callable[[Json, Callable[[Json], None]], None]) -> None:
    """Be a sandbox's process 1: prepare it, take the job, run it, report how it ended.

    The parent's answer is awaited first: a child whose parent died before the kernel tied them together
    ends here.
    """
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", buffering=1) as pipe:

        def emit(event: Json) -> None:
            pipe.write(json.dumps(event) + "\n")

        emit({"event": "hello"})
        if sys.stdin.readline().strip() != _GO:
            return
        try:
            prepare()
            run_job(json.loads(sys.stdin.readline()), emit)
            emit({"event": "done"})
        except TestbedError as error:
            emit({"event": "error", **error_to_wire(error)})


def prepare() -> None:
    """Make the sandbox ready from inside: a private /run, loopback up, room for many sockets.

    Raises:
        RunFailed: we are not in a sandbox.
    """
    if os.getpid() != 1:
        raise RunFailed("not process 1 of a PID namespace: a job runs in a sandbox only")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    NETNS_FOLDER.mkdir()
    RUN_FOLDER.mkdir()
    loopback_up()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def error_to_wire(error: TestbedError) -> Json:
    """Return an error as a JSON object."""
    return {"what": error.what, "where": error.where, "fix": error.fix, "exit_code": error.exit_code}


def error_from_wire(wire: Json) -> TestbedError:
    """Return the error that a JSON object stands for, with its exit code."""
    error = TestbedError(wire["what"], where=wire["where"], fix=wire["fix"])
    error.exit_code = wire["exit_code"]
    return error


def refuse_without_permission() -> None:
    """Check what a sandbox needs of this machine before anything starts.

    Raises:
        EnvironmentProblem: says what is missing and how to get it.
    """
    trial = subprocess.run([*_entry(), "true"], capture_output=True, text=True, check=False)
    if trial.returncode:
        raise EnvironmentProblem(
            f"this machine does not let us make namespaces: {trial.stderr.strip()}",
            fix="run as root, or allow user namespaces (sysctl user.max_user_namespaces, and "
            "kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu)",
        )


def refuse_without_tun() -> None:
    """Check that the device may be opened through which a switch in user space reaches the kernel.

    Raises:
        EnvironmentProblem: says why not and how to get it.
    """
    try:
        os.close(os.open(_TUN, os.O_RDWR))
    except OSError as error:
        raise EnvironmentProblem(
            f"{_TUN} cannot be opened: {error.strerror}",
            fix="load the tun module, or as root `chmod 666 /dev/net/tun`",
        ) from error


def _entry() -> list[str]:
    """Return the program prefix that makes a sandbox.

    setpriv ties unshare's life to ours, --kill-child the child's to unshare's.
    """
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    spaces = ["--net", "--mount", "--pid", "--ipc", "--uts"]
    return [
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *("unshare", *user, *spaces, "--fork", "--kill-child", "--mount-proc", "--"),
    ]


def _converse(
    child: subprocess.Popen[bytes],
    job: Mapping[str, object],
    events: TextIO,
    on_event: Callable[[Json], None],
) -> bool:
    """Pass on events until the child closes the pipe. Returns whether it said that it is done."""
    is_done = False
    for line in events:
        event = json.loads(line)
        if event["event"] == "hello":
            _tell(child, f"{_GO}\n{json.dumps(job)}\n")
        elif event["event"] == "error":
            raise error_from_wire(event)
        elif event["event"] == "done":
            is_done = True
        else:
            on_event(event)
    return is_done


def _tell(child: subprocess.Popen[bytes], text: str) -> None:
    if child.stdin is not None:
        with suppress(BrokenPipeError):  # it has ended: that it did is told by its events, or their absence
            child.stdin.write(text.encode())
            child.stdin.flush()


def _hang_up(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        with suppress(BrokenPipeError):
            child.stdin.close()


def _silent_death(status: int, said: str) -> TestbedError:
    how = f"by signal {-status}" if status < 0 else f"with status {status}"
    told = said.strip()[-3000:] or "(it wrote nothing)"
    return RunFailed(f"the sandbox ended {how} without finishing its job: {told}")
