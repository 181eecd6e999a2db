"""What goes wrong ends with one clear message and the right exit code, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from command_line import (
    INPUTS,
    QUICKSTART,
    Call,
    Machine,
    await_clean,
    call,
    calling,
    is_one_message,
    path_with,
    programs_without,
    until,
)

from testbed.runner.preflight import machine_capabilities

BRIEF = INPUTS / "brief.yaml"
PAIR = INPUTS / "pair.yaml"
_ON_A_SMALL_DISK = """
mount -t tmpfs -o size="$1" tmpfs "$0" || exit
shift
"$@"
status=$?
ls -A "$0" >&2
exit $status
"""


def on_a_small_disk(folder: Path, room_kib: int) -> list[str]:
    """Run what follows where a folder is a small disk; standard error ends with what is then left on it."""
    space = ["unshare", "--mount", "--propagation", "private"]
    return [*space, "sh", "-c", _ON_A_SMALL_DISK, str(folder), f"{room_kib}k"]


def refused(done: subprocess.CompletedProcess[str], out: Path) -> str:
    """Assert that a call was refused before anything started; return the message."""
    assert done.returncode == 4, done.stderr
    assert is_one_message(done.stderr), done.stderr
    assert "building:" not in done.stderr
    assert done.stdout == ""
    assert not out.exists()
    return done.stderr.splitlines()[-1]


def failed(done: subprocess.CompletedProcess[str], out: Path) -> str:
    """Assert that a call failed on its way; return the message, which quotes a log."""
    assert done.returncode == 5, done.stderr
    assert is_one_message(done.stderr), done.stderr
    assert "building:" in done.stderr
    assert not out.exists()
    return done.stderr[done.stderr.index("testbed: ") :]


class TestSomethingDiesDuringSetUp:
    def test_a_switch_that_does_not_start(self, tmp_path: Path) -> None:
        before, out = Machine.now(), tmp_path / "out"
        script = 'echo "ovs-vswitchd: the stand-in has no datapath" >&2; exit 1'
        path = path_with(tmp_path / "bin", "ovs-vswitchd", script)
        with calling(["run", BRIEF, "--out", out], tmp_path, environment={"PATH": path}) as running:
            done = running.finish()
            await_clean(running, before)
        message = failed(done, out)
        assert "ovs-vswitchd of node1 ended with status 1" in message
        assert "the stand-in has no datapath" in message

    @pytest.mark.parametrize(
        ("stage", "program", "name"),
        [
            ("Open vSwitch", "controllers.app", "controller"),
            ("Pods", "ovs-vswitchd", "ovs-vswitchd of node"),
            ("node programs", "ovsdb-server", "ovsdb-server of node"),
            ("flows", "controllers.app", "controller"),
        ],
    )
    def test_killed_from_outside(self, stage: str, program: str, name: str, tmp_path: Path) -> None:
        before, out = Machine.now(), tmp_path / "out"
        with calling(["run", QUICKSTART, "--out", out], tmp_path) as running:
            running.wait_for_line(f"building: {stage}")
            kill_first(running, program)
            done = running.finish()
            await_clean(running, before)
        message = failed(done, out)
        assert name in message
        assert "by signal 9" in message

    def test_the_sandbox_itself(self, tmp_path: Path) -> None:
        before, out = Machine.now(), tmp_path / "out"
        with calling(["run", QUICKSTART, "--out", out], tmp_path) as running:
            running.wait_for_line("building: Pods")
            kill_first(running, "testbed.runner.inside", but_not="unshare")
            done = running.finish()
            await_clean(running, before)
        assert "the sandbox ended" in failed(done, out)


def kill_first(running: Call, program: str, *, but_not: str = "nsenter") -> None:
    """Kill the first of a call's processes that runs a program, by its id."""

    def found() -> list[int]:
        return [
            pid for pid, shown in sorted(running.look().items()) if program in shown and but_not not in shown
        ]

    until(lambda: bool(found()), running.processes, 20.0)
    os.kill(found()[0], signal.SIGKILL)


class TestRefusedBeforeAnythingStarts:
    def test_a_program_is_missing(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        path = programs_without(tmp_path / "bin", "sockperf")
        done = call(["run", QUICKSTART, "--out", out], tmp_path, environment={"PATH": path})
        message = refused(done, out)
        assert "the program 'sockperf' is not installed" in message
        assert "Debian package sockperf" in message

    def test_a_folder_of_results_exists(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / "precious").write_text("data")
        done = call(["run", BRIEF, "--out", out], tmp_path)
        assert done.returncode == 4
        assert is_one_message(done.stderr)
        assert str(out) in done.stderr
        assert "--out" in done.stderr
        assert "building:" not in done.stderr
        assert (out / "precious").read_text() == "data"

    def test_namespaces_are_not_permitted(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        script = 'echo "unshare: unshare failed: Operation not permitted" >&2; exit 1'
        path = path_with(tmp_path / "bin", "unshare", script)
        message = refused(call(["run", BRIEF, "--out", out], tmp_path, environment={"PATH": path}), out)
        assert "does not let us make namespaces" in message
        assert "Operation not permitted" in message
        assert "run as root" in message

    def test_the_tun_device_is_not_permitted(self, tmp_path: Path) -> None:
        script = 'touch "$1" && chmod 0 "$1" && mount --bind "$1" /dev/net/tun && shift && exec "$@"'
        space = ["unshare", "--mount", "--propagation", "private"]
        device = tmp_path / "tun"
        lame = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
        prefix = [*space, "sh", "-c", script, "sh", str(device), *lame]
        message = refused(call(["run", BRIEF, "--out", "out"], tmp_path, prefix=prefix), tmp_path / "out")
        assert "/dev/net/tun" in message

    def test_the_kernel_cannot_delay(self, tmp_path: Path) -> None:
        arguments: list[str | Path] = ["probe", "-f", PAIR, "--cluster", INPUTS / "delayed.yaml", "--json"]
        if machine_capabilities()["netem"]:
            assert call(arguments, tmp_path).returncode == 0
            return
        message = refused(call(arguments, tmp_path), tmp_path / "out")
        assert "'netem'" in message
        assert "delay of fabricLink" in message


@pytest.mark.parametrize("room_kib", [8, 48], ids=["for the samples", "for the figures"])
def test_a_full_disk(room_kib: int, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = call(["run", BRIEF, "--out", disk / "out"], tmp_path, prefix=on_a_small_disk(disk, room_kib))
    assert done.returncode == 4, done.stderr
    assert is_one_message(done.stderr), done.stderr
    message, *left = done.stderr[done.stderr.index("testbed: ") :].splitlines()
    assert "the disk has no room for it" in message
    assert "MiB are free" in message
    assert left == [], "a half-written result is left"
    assert done.stdout == ""
