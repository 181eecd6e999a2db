"""Echo requests with iputils ping: the command, and the reader of its lines.

A sample is the time that ping prints for one reply, the whole round trip. ping prints four significant
digits or microseconds, whichever is coarser: below 1 ms the resolution is 1 us, from 10 ms on 0.1 ms.
"""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path as FilePath

import numpy as np

from testbed.errors import CommandFailed
from testbed.measurement.errors import ToolOutputError
from testbed.measurement.host import Completed, Path
from testbed.measurement.readings import Exchange, Readings
from testbed.measurement.workload import Workload

TOOL = "ping"
REPLY_TIMEOUT_S = 1

_REPLY = re.compile(
    r"^\d+ bytes from .*?: icmp_seq=(\d{1,9}) .*time=(\d{1,9}(?:\.\d{1,9})?) ms( \(DUP!\))?", re.M
)
_TOTALS = re.compile(r"^(\d{1,9}) packets transmitted, (\d{1,9}) received", re.M)


def ping_command(
    address: str, *, count: int, interval_s: float, payload_bytes: int | None
) -> tuple[str, ...]:
    """Return the command that sends `count` requests and then waits REPLY_TIMEOUT_S for the last reply."""
    size = () if payload_bytes is None else ("-s", str(payload_bytes))
    amount = ("-c", str(count), "-i", f"{interval_s:g}", "-W", str(REPLY_TIMEOUT_S))
    return ("ping", "-n", *amount, *size, address)


def parse_ping(printed: str, *, warmup_count: int) -> Readings:
    """Return the round trips of the requests after the first `warmup_count`.

    Returns:
        Samples rtt_us; summary sent_packets, lost_packets and duplicated_packets, without the warm-up.

    Raises:
        ToolOutputError: the closing statistics are missing, do not fit the replies, or no request was
        answered.
    """
    totals = _TOTALS.search(printed)
    if not totals:
        raise ToolOutputError(TOOL, "it printed no closing statistics", printed)
    replies = [match.groups() for match in _REPLY.finditer(printed)]
    answered = [(int(sequence), float(ms)) for sequence, ms, duplicate in replies if not duplicate]
    sent, received = (int(number) for number in totals.groups())
    if len(answered) != received or received > sent:
        raise ToolOutputError(TOOL, f"it counts {received} replies and shows {len(answered)}", printed)
    kept = [ms for sequence, ms in answered if sequence > warmup_count]
    if not kept:
        raise ToolOutputError(TOOL, f"none of {sent} requests was answered after the warm-up", printed)
    summary = {
        "sent_packets": float(sent - warmup_count),
        "lost_packets": float(sent - warmup_count - len(kept)),
        "duplicated_packets": float(len(replies) - len(answered)),
    }
    return Readings({"rtt_us": np.array(kept, dtype=np.float64) * 1000}, summary)


def warmup_requests(workload: Workload) -> int:
    """Return how many requests make up the warm-up: one at least, because the first resolves addresses."""
    return max(1, math.ceil(workload.warmup_s / workload.interval_s))


def ping_exchange(workload: Workload, path: Path, _scratch_dir: FilePath) -> Exchange:
    """Return the exchange that measures a workload of type ping over a path; the kernel answers."""
    warmup_count = warmup_requests(workload)
    count = workload.count + warmup_count
    return Exchange(
        client_argv=ping_command(
            str(path.address),
            count=count,
            interval_s=workload.interval_s,
            payload_bytes=workload.message_bytes,
        ),
        client_timeout_s=count * (workload.interval_s + 0.02) + REPLY_TIMEOUT_S + 15,
        read=partial(_read, warmup_count=warmup_count),
    )


def _read(completed: Completed, *, warmup_count: int) -> Readings:
    if completed.status > 1:  # 1 is "no reply", which the statistics tell as well
        raise CommandFailed(completed.argv, completed.status, completed.stderr or completed.stdout)
    return parse_ping(completed.stdout, warmup_count=warmup_count)
