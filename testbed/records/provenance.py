"""What a run ran on: kernel, machine, versions, settings. Reads the machine; interprets nothing.

A program that is not installed is a fact worth recording, not an error.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from testbed.records.schema import Provenance

DISTRIBUTION = "kubernetes-network-testbed"
NOT_INSTALLED = "not installed"
EXEC_TIMEOUT_S = 5.0
SOURCE_TREE = Path(__file__).resolve().parents[2]

PROGRAMS: Mapping[str, Sequence[str]] = {
    "ip": ("ip", "-V"),
    "iptables-nft-restore": ("iptables-nft-restore", "--version"),
    "iperf3": ("iperf3", "--version"),
    "nft": ("nft", "--version"),
    "ovs-vswitchd": ("ovs-vswitchd", "--version"),
    "ping": ("ping", "-V"),
    "sockperf": ("sockperf", "--version"),
}
"""Program to the command that prints its version."""

PACKAGES = ("eventlet", "matplotlib", "mininet", "numpy", "pandas", "pyarrow", "ryu", "scipy")

SYSCTLS = (
    "kernel/sched_*",
    "net/core/busy_poll",
    "net/core/default_qdisc",
    "net/core/netdev_budget",
    "net/core/netdev_max_backlog",
    "net/core/rmem_default",
    "net/core/rmem_max",
    "net/core/wmem_default",
    "net/core/wmem_max",
    "net/ipv4/tcp_congestion_control",
    "net/ipv4/tcp_rmem",
    "net/ipv4/tcp_wmem",
)
"""Files below /proc/sys, as glob patterns; those that a kernel or namespace lacks are left out."""

CODE = ("testbed", "controllers", "setup.cfg", "requirements.lock")
"""What of a source tree has a bearing on a run, whatever it is asked to measure."""

Execute = Callable[[Sequence[str]], str | None]
"""Run a program and return its standard output; None where it is missing, fails or does not end."""


def collect_provenance(
    engine: str,
    pinning: Mapping[str, str],
    *,
    offloads: Mapping[str, str],
    programs: Mapping[str, Sequence[str]] = PROGRAMS,
    execute: Execute | None = None,
    root: Path = Path("/"),
) -> Provenance:
    """Return what this machine is, as text.

    Args:
        engine: what carries the network ("this kernel", "vm", ...).
        pinning: role to processor.
        offloads: interface or role to its offload settings, as found.
        programs: name to the command that prints its version.
        execute: runs those commands; `run_quietly` unless a test says otherwise.
        root: where /proc is.
    """
    run = execute or run_quietly
    return Provenance(
        testbed_version=testbed_version(),
        git_commit=git_commit(SOURCE_TREE, run),
        kernel=f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        engine=engine,
        processor=_processor(root),
        processors=os.cpu_count() or 1,
        memory_mib=_memory_mib(root),
        programs={name: _first_line(run(argv)) for name, argv in sorted(programs.items())},
        packages={name: _package_version(name) for name in PACKAGES},
        sysctls=read_sysctls(root),
        offloads=dict(sorted(offloads.items())),
        pinning=dict(sorted(pinning.items())),
    )


def run_quietly(argv: Sequence[str]) -> str | None:
    """Return what a program prints on stdout, or None where it is missing, fails or takes over 5 s."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=EXEC_TIMEOUT_S,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def git_commit(tree: Path, run: Execute = run_quietly) -> str:
    """Return the commit that a source tree stands on, "-dirty" added when its code differs; "" outside git.

    Experiments and results that lie about do not count: the record holds what was asked for.

    The tree is declared safe, since a run may read it as another user than the one who cloned it.
    """
    if not (tree / ".git").exists():
        return ""
    git = ("git", "-c", f"safe.directory={tree}", "-C", str(tree))
    commit = (run((*git, "rev-parse", "HEAD")) or "").strip()
    changes = run((*git, "status", "--porcelain", "--", *CODE))
    return f"{commit}-dirty" if commit and (changes is None or changes.strip()) else commit


def read_sysctls(root: Path = Path("/")) -> dict[str, str]:
    """Return the settings named in SYSCTLS that exist, by their dotted name."""
    base = root / "proc/sys"
    found: dict[str, str] = {}
    for path in sorted(path for pattern in SYSCTLS for path in base.glob(pattern)):
        text = _read(path)
        if path.is_file() and text:
            found[".".join(path.relative_to(base).parts)] = " ".join(text.split())
    return found


def _processor(root: Path) -> str:
    for line in _read(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model"):
            return value.strip()
    return platform.machine()


def _memory_mib(root: Path) -> int:
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) // 1024
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _first_line(output: str | None) -> str:
    lines = (output or "").strip().splitlines()
    return lines[0].strip() if lines else NOT_INSTALLED


def testbed_version() -> str:
    """Return the installed version of the testbed."""
    return _package_version(DISTRIBUTION)


def _package_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return NOT_INSTALLED
