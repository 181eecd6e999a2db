"""Request and response with sockperf 3.7: the commands, and the reader of its full log.

A sample is the whole round trip, rxTime - txTime of one message in the full log. sockperf itself prints
half of that and calls it latency; none of its own statistics is used.

What its version 3.7 does that one has to know (found by running it):
- its exit status is 0 even when no server answered, so what it prints decides;
- it takes whole seconds, and sleeps 2 s before it starts;
- its log leaves out the first 400 ms and the last 50 ms of the time it was given;
- with UDP it waits for ever for a reply that was lost, without counting it as dropped. The log then ends
  early. What came before is a fair sample of the answered messages: it is kept when it covers at least half
  of the time asked for, with `unanswered_messages` 1 in the summary, and is an error otherwise.
"""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path as FilePath

import numpy as np

from testbed.errors import CommandFailed
from testbed.inet import Protocol
from testbed.measurement.errors import ToolOutputError
from testbed.measurement.host import Completed, Path
from testbed.measurement.readings import Exchange, Listener, Readings, Samples
from testbed.measurement.workload import Workload

TOOL = "sockperf"
DEFAULT_MESSAGE_BYTES = 64
OWN_WARMUP_S = 0.4
OWN_COOLDOWN_S = 0.05
IDLE_S = 2.0
STARTUP_S = 2.2
LEAST_COVERAGE = 0.5
STALL_S = 0.25
"""A log that ends this much too early stands for a lost message; a TCP retransmission takes 0.2 s."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_COMPLAINT = re.compile(r"sockperf: (?:ERROR: )?((?:No messages|No valid|Can`t|A connection|.*errno=).*)")
_VALID = re.compile(r"\[Valid Duration\] RunTime=[\d.]+ sec; SentMessages=(\d+); ReceivedMessages=(\d+)")
_COUNTS = re.compile(
    r"# dropped messages = (\d+); # duplicated messages = (\d+); # out-of-order messages = (\d+)"
)
_SILENT = "it sends no further message once a reply is lost"
_TABLE_HEAD = "packet, txTime(sec), rxTime(sec), latency(usec)\n"
_COLUMNS = 4


def sockperf_server_command(protocol: Protocol, port: int) -> tuple[str, ...]:
    """Return the server's command. It listens on every IPv4 address of its namespace until it is ended.

    Over TCP it may take a port on which connections still linger in TIME_WAIT. Over UDP the same option
    would let it share the port with another server unnoticed.
    """
    reuse = ("--uc-reuseaddr",) if protocol is Protocol.TCP else ()
    return ("sockperf", "server", "-p", str(port), *_transport(protocol), *reuse)


def sockperf_client_command(
    protocol: Protocol, target: tuple[str, int], *, run_s: int, message_bytes: int, full_log: FilePath
) -> tuple[str, ...]:
    """Return the client's command.

    Args:
        protocol: TCP or UDP.
        target: address and port.
        run_s: whole seconds, as `whole_run_s` gives them.
        message_bytes: payload of a message, 14 or more.
        full_log: file that it will write.
    """
    address, port = target
    end = ("-i", address, "-p", str(port), *_transport(protocol))
    amount = ("-t", str(run_s), "-m", str(message_bytes))
    return ("sockperf", "ping-pong", *end, *amount, "--full-log", str(full_log))


def whole_run_s(duration_s: float, warmup_s: float) -> int:
    """Return the whole seconds that sockperf must be given so that its log holds warm-up and duration."""
    return math.ceil(max(warmup_s, OWN_WARMUP_S) + duration_s + OWN_COOLDOWN_S)


def parse_sockperf(printed: str, full_log: str, *, duration_s: float, warmup_s: float) -> Readings:
    """Return the round trips in `rtt_us` of the messages sent in the window after the warm-up.

    Args:
        printed: stdout and stderr of the client.
        full_log: content of its full log, "" if it wrote none.
        duration_s: length of the window.
        warmup_s: what comes before it, counted from the start of the test; sockperf leaves out 0.4 s at
            least.

    Returns:
        Samples rtt_us; summary received_messages, unanswered_messages, dropped_messages, duplicated_messages,
        out_of_order_messages (these three as sockperf counts them) and covered_s.

    Raises:
        ToolOutputError: there was no reply, the log is torn, or it covers less than half of the window.
    """
    times = _message_times(printed, full_log)
    begin_s = times[0, 0] + max(0.0, warmup_s - OWN_WARMUP_S)
    end_s = begin_s + duration_s
    window = times[(times[:, 0] >= begin_s) & (times[:, 0] < end_s)]
    covered_s = min(float(times[-1, 1]), end_s) - begin_s
    if not len(window) or covered_s < LEAST_COVERAGE * duration_s:
        raise ToolOutputError(TOOL, _stalled(covered_s, duration_s))
    rtt_us = (window[:, 1] - window[:, 0]) * 1e6
    summary = {
        "received_messages": float(len(window)),
        "unanswered_messages": float(duration_s - covered_s > STALL_S),
        **_counts(full_log),
        "covered_s": covered_s,
    }
    return Readings({"rtt_us": rtt_us}, summary)


def sockperf_exchange(workload: Workload, protocol: Protocol, path: Path, scratch_dir: FilePath) -> Exchange:
    """Return the exchange that measures a workload of type latency over a path."""
    full_log = scratch_dir / f"sockperf-{workload.name}-{protocol}-{path.name}.csv"
    run_s = whole_run_s(workload.duration_s, workload.warmup_s)
    command = sockperf_client_command(
        protocol,
        (str(path.address), path.port),
        run_s=run_s,
        message_bytes=workload.message_bytes or DEFAULT_MESSAGE_BYTES,
        full_log=full_log,
    )
    return Exchange(
        client_argv=command,
        client_timeout_s=STARTUP_S + run_s + 15,
        read=partial(_read, workload=workload, full_log=full_log),
        listener=Listener(sockperf_server_command(protocol, path.server_port), protocol, path.server_port),
        scratch_files=(full_log,),
        idle_s=IDLE_S,
    )


def _read(completed: Completed, *, workload: Workload, full_log: FilePath) -> Readings:
    if completed.status:
        printed = f"{completed.stderr}\n{_complaint(completed.stdout) or ''}"
        raise CommandFailed(completed.argv, completed.status, printed)
    try:
        text = full_log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = ""
    printed = f"{completed.stdout}\n{completed.stderr}"
    return parse_sockperf(printed, text, duration_s=workload.duration_s, warmup_s=workload.warmup_s)


def _transport(protocol: Protocol) -> tuple[str, ...]:
    return ("--tcp",) if protocol is Protocol.TCP else ()


def _complaint(printed: str) -> str | None:
    found = _COMPLAINT.search(_COLOUR.sub("", printed))
    return found.group(1) if found else None


def _stalled(covered_s: float, duration_s: float) -> str:
    return f"the replies ended {max(covered_s, 0.0):.3f} s into the {duration_s:g} s asked for; {_SILENT}"


def _message_times(printed: str, full_log: str) -> Samples:
    """Return the full log's table, columns txTime and rxTime in seconds, complete and in order."""
    complaint = _complaint(printed)
    if complaint:
        early = f"a reply was lost before {OWN_WARMUP_S} s; {_SILENT}"
        raise ToolOutputError(TOOL, early if complaint.startswith("No valid") else complaint)
    _, head, table = _COLOUR.sub("", full_log).partition(_TABLE_HEAD)
    if not head:
        raise ToolOutputError(TOOL, "it wrote no full log", full_log or printed)
    times = _columns(table.partition("---")[0], full_log)
    valid = _VALID.search(full_log)
    if not valid or int(valid.group(2)) != len(times):
        raise ToolOutputError(TOOL, f"its full log is torn: {len(times)} messages in it", full_log)
    return times


def _columns(table: str, full_log: str) -> Samples:
    try:
        rows = np.array(table.replace(",", " ").split(), dtype=np.float64).reshape(-1, _COLUMNS)
    except ValueError as error:
        raise ToolOutputError(TOOL, "its full log is torn", full_log) from error
    times = rows[:, 1:3]
    if not len(times) or not np.isfinite(times).all():
        raise ToolOutputError(TOOL, "its full log holds no message", full_log)
    if (times[:, 1] < times[:, 0]).any() or (np.diff(times[:, 0]) < 0).any():
        raise ToolOutputError(TOOL, "its full log is out of order", full_log)
    return times


def _counts(full_log: str) -> dict[str, float]:
    names = ("dropped_messages", "duplicated_messages", "out_of_order_messages")
    found = _COUNTS.search(full_log)
    if not found:
        raise ToolOutputError(TOOL, "its full log does not say what was dropped", full_log)
    return {name: float(count) for name, count in zip(names, found.groups(), strict=True)}
