"""What the machine did while a trial ran, from the kernel's counters: whether the emulation could keep up.

Owns the reading of /proc and the difference of two readings; what the numbers mean is said in
`records.schema.HostLoad`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from testbed.records.schema import HostLoad

_PSI_SOME = re.compile(r"^some .*total=(\d+)$", re.M)


@dataclass(frozen=True, slots=True)
class Counters:
    """The kernel's counters at one moment. Ticks are summed over all processors.

    `stalled_us` is None where the kernel has no pressure stall information.
    """

    at_s: float
    total_ticks: int
    idle_ticks: int
    stolen_ticks: int
    stalled_us: int | None
    packets_dropped: int


def read_counters(now_s: float, *, proc: Path = Path("/proc")) -> Counters:
    """Return the counters of this machine; `now_s` is the clock's time at the call."""
    return parse_counters(
        now_s,
        (proc / "stat").read_text(encoding="ascii"),
        _pressure(proc / "pressure" / "cpu"),
        (proc / "net" / "softnet_stat").read_text(encoding="ascii"),
    )


def parse_counters(now_s: float, stat: str, pressure: str | None, softnet: str) -> Counters:
    """Return the counters that three files of /proc hold.

    Source: proc(5) for stat (user nice system idle iowait irq softirq steal; guest time is inside user),
    Documentation/accounting/psi.rst, and net/core/net-procs.c for softnet_stat (second column: dropped,
    hexadecimal).
    """
    ticks = [int(field) for field in stat.split("\n", 1)[0].split()[1:9]]
    _, _, _, idle, iowait, _, _, steal = ticks
    some = _PSI_SOME.search(pressure) if pressure else None
    return Counters(
        at_s=now_s,
        total_ticks=sum(ticks),
        idle_ticks=idle + iowait,
        stolen_ticks=steal,
        stalled_us=int(some.group(1)) if some else None,
        packets_dropped=sum(int(line.split()[1], 16) for line in softnet.splitlines()),
    )


def host_load(before: Counters, after: Counters) -> HostLoad:
    """Return what happened between two readings. A share is NaN where no time passed between them."""
    ticks = after.total_ticks - before.total_ticks
    idle = after.idle_ticks - before.idle_ticks
    stolen = after.stolen_ticks - before.stolen_ticks
    return HostLoad(
        busy=_share(ticks - idle - stolen, ticks),
        stolen=_share(stolen, ticks),
        stalled=_stalled(before, after),
        packets_dropped=after.packets_dropped - before.packets_dropped,
    )


def _stalled(before: Counters, after: Counters) -> float:
    if before.stalled_us is None or after.stalled_us is None:
        return math.nan
    return _share((after.stalled_us - before.stalled_us) / 1e6, after.at_s - before.at_s)


def _share(part: float, whole: float) -> float:
    """Return part / whole, within 0 to 1: the kernel's idle counters may step back by a tick."""
    return min(1.0, max(0.0, part / whole)) if whole > 0 else math.nan


def _pressure(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except OSError:  # not compiled in (ENOENT), or switched off at boot (EOPNOTSUPP)
        return None
