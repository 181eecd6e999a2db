from collections.abc import Sequence
from pathlib import Path

import pytest

from testbed.records.provenance import (
    NOT_INSTALLED,
    collect_provenance,
    git_commit,
    read_sysctls,
    run_quietly,
)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    files = {
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: Test CPU 3000\n",
        "proc/meminfo": "MemTotal:        8127844 kB\nMemFree: 1 kB\n",
        "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
        "proc/sys/kernel/sched_rr_timeslice_ms": "100\n",
        "proc/sys/kernel/hostname": "secret\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_the_machine_says_is_recorded(machine: Path) -> None:
    asked = []

    def execute(argv: Sequence[str]) -> str | None:
        asked.append(tuple(argv))
        return {"iperf3": "iperf 3.12 (cJSON 1.7.15)\nLinux vm\n"}.get(argv[0])

    facts = collect_provenance(
        "this kernel",
        {"server": "cpu 1", "client": "cpu 0"},
        offloads={"eth0": "tx off"},
        programs={"sockperf": ("sockperf", "--version"), "iperf3": ("iperf3", "--version")},
        execute=execute,
        root=machine,
    )
    assert facts.processor == "Test CPU 3000"
    assert facts.memory_mib == 8127844 // 1024
    assert facts.programs == {"iperf3": "iperf 3.12 (cJSON 1.7.15)", "sockperf": NOT_INSTALLED}
    assert facts.sysctls == {
        "kernel.sched_rr_timeslice_ms": "100",
        "net.ipv4.tcp_rmem": "4096 131072 6291456",
    }
    assert list(facts.pinning) == ["client", "server"]
    assert facts.packages["numpy"][0].isdigit()
    assert ("iperf3", "--version") in asked


def test_a_machine_without_proc_is_no_error(tmp_path: Path) -> None:
    facts = collect_provenance("none", {}, offloads={}, programs={}, execute=lambda argv: None, root=tmp_path)
    assert (facts.memory_mib, facts.sysctls, facts.programs) == (0, {}, {})
    assert facts.processor


@pytest.mark.parametrize("argv", [("no-such-program-here",), ("false",), ("/",)])
def test_a_program_that_cannot_answer_gives_none(argv: tuple[str, ...]) -> None:
    assert run_quietly(argv) is None


def test_a_program_that_answers_is_heard() -> None:
    assert run_quietly(("echo", "3.1")) == "3.1\n"


@pytest.mark.parametrize(
    ("changes", "expected"), [("", "abc123"), (" M file.py\n", "abc123-dirty"), (None, "abc123-dirty")]
)
def test_a_commit_says_whether_files_differ(tmp_path: Path, changes: str | None, expected: str) -> None:
    (tmp_path / ".git").mkdir()
    assert git_commit(tmp_path, lambda argv: "abc123\n" if "rev-parse" in argv else changes) == expected


def test_outside_git_there_is_no_commit(tmp_path: Path) -> None:
    assert git_commit(tmp_path, lambda argv: "abc123\n") == ""


def test_this_machines_settings_are_readable() -> None:
    assert read_sysctls()["net.ipv4.tcp_rmem"].count(" ") == 2
