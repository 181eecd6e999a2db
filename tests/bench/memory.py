"""What memory a cluster takes, seen from inside its sandbox.

MemAvailable counts everything, the kernel's part for namespaces, links and sockets too, but also what others
on the machine do meanwhile. PSS (proportional set size) counts the programs alone, each shared page by the
part that falls to one process; the sandbox's own /proc has no other processes than the cluster's.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

KIB_PER_MIB = 1024


def available_mib() -> float:
    """Return MemAvailable, in MiB."""
    return _field(Path("/proc/meminfo"), "MemAvailable") / KIB_PER_MIB


def pss_mib() -> dict[str, float]:
    """Return the sum of PSS by what the programs are: one entry each, sorted by name."""
    kib: Counter[str] = Counter()
    for process in _processes():
        try:
            kib[_program(process)] += _field(process / "smaps_rollup", "Pss")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since the folder was listed
    return {name: value / KIB_PER_MIB for name, value in sorted(kib.items())}


def cpu_s(ticks_per_s: int) -> dict[str, float]:
    """Return processor time (user and system, children that have ended too) by program, sorted by name."""
    ticks: Counter[str] = Counter()
    for process in _processes():
        try:
            fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
            ticks[_program(process)] += sum(int(text) for text in fields[11:15])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since the folder was listed
    return {name: value / ticks_per_s for name, value in sorted(ticks.items())}


def _processes() -> list[Path]:
    return sorted(folder for folder in Path("/proc").iterdir() if folder.name.isdigit())


def _program(process: Path) -> str:
    """Return what a process is called: its program, or, for Python, the module it runs."""
    words = (process / "cmdline").read_bytes().decode().split("\0")
    if "-m" in words:
        return words[words.index("-m") + 1]
    return Path(words[0]).name


def _field(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        head, _, value = line.partition(":")
        if head == name:
            return int(value.split()[0])
    raise ValueError(f"{file} has no {name}")
