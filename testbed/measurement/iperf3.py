"""Throughput with iperf3 3.12: the commands, and the reader of its JSON.

A sample is the payload that the *receiver* took in during one interval, all streams added up. The client
asks for the server's own record (--get-server-output) and the samples come from there, for TCP and UDP
alike: what a sender hands to its kernel is not what arrives. Retransmits are the sender's.

The warm-up is left out here, by the start of each interval, and not by iperf3's --omit: at the end of the
omitted time 3.12's two timers race, and an interval that began before it can be counted as one after it.
The exit status is 0 even when the server refuses, so the "error" of the JSON decides.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path as FilePath
from typing import cast

import numpy as np

from testbed.errors import CommandFailed
from testbed.inet import Protocol
from testbed.measurement.errors import ToolOutputError
from testbed.measurement.host import Completed, Path
from testbed.measurement.readings import Exchange, Listener, Readings, any_address
from testbed.measurement.workload import Workload

TOOL = "iperf3"
CONNECT_TIMEOUT_MS = 5000
SHORTEST_INTERVAL_S = 0.1

Json = Mapping[str, object]


def iperf3_server_command(address: str, port: int, *, interval_s: float) -> tuple[str, ...]:
    """Return the server's command: it serves one test on an address ("0.0.0.0", "::") and ends.

    Its interval is the span of one sample.
    """
    return ("iperf3", "-s", "-1", "-J", "-i", f"{interval_s:g}", "-B", address, "-p", str(port))


def iperf3_client_command(
    workload: Workload, protocol: Protocol, target: tuple[str, int], *, run_s: int
) -> tuple[str, ...]:
    """Return the client's command.

    Args:
        workload: of type throughput; its bandwidth, which is UDP's alone, is shared out among the streams.
        protocol: TCP or UDP.
        target: address and port.
        run_s: whole seconds, warm-up included; iperf3 cuts fractions off.
    """
    address, port = target
    rate = (workload.bandwidth_bps or 0) / workload.streams
    command = [TOOL, "-c", address, "-p", str(port), "-J", "--get-server-output"]
    command += ["--connect-timeout", str(CONNECT_TIMEOUT_MS), "-t", str(run_s)]
    command += ["-i", f"{sample_interval_s(workload):g}", "-P", str(workload.streams)]
    if protocol is Protocol.UDP:
        command += ["-u", "-b", f"{rate:.0f}"]
    if workload.message_bytes:
        command += ["-l", str(workload.message_bytes)]
    return tuple(command)


def sample_interval_s(workload: Workload) -> float:
    """Return the span of one sample: what the workload asks for, 0.1 s (iperf3's least) or more."""
    return max(workload.interval_s, SHORTEST_INTERVAL_S)


def parse_iperf3(printed: str, *, duration_s: float, warmup_s: float, interval_s: float) -> Readings:
    """Return the receiver's throughput per interval that begins after the warm-up.

    Args:
        printed: stdout of the client, one JSON object.
        duration_s: length of the window after the warm-up.
        warmup_s: what comes before it.
        interval_s: span that one interval should have; what is shorter than half of it is a remainder, left
            out.

    Returns:
        Samples throughput_bps. Summary: received_bps (mean over the window) and intervals; for TCP
        retransmits and for UDP sent_packets and lost_packets, all of the window; for UDP jitter_us;
        client_cpu and server_cpu, the share of one processor over the whole run, warm-up included.

    Raises:
        ToolOutputError: iperf3 reports an error, a part is missing, or nothing arrived.
    """
    document = _document(printed)
    server = _object(document, "server_output_json")
    window = _Window(warmup_s, warmup_s + duration_s, interval_s)
    received = window.sums(server)
    bits = sum(_number(row, "bytes") for row in received) * 8
    if not bits:
        raise ToolOutputError(TOOL, f"nothing arrived in the {duration_s:g} s after the warm-up", printed)
    seconds = sum(_number(row, "seconds") for row in received)
    samples = np.array([_number(row, "bits_per_second") for row in received], dtype=np.float64)
    summary = {"received_bps": bits / seconds, "intervals": float(len(received))}
    summary |= _transport_summary(document, received, window)
    return Readings({"throughput_bps": samples}, summary | _cpu(document))


def iperf3_exchange(workload: Workload, protocol: Protocol, path: Path, _scratch_dir: FilePath) -> Exchange:
    """Return the exchange that measures a workload of type throughput over a path."""
    run_s = math.ceil(workload.warmup_s + workload.duration_s)
    bind = any_address(path.address)
    server = iperf3_server_command(bind, path.server_port, interval_s=sample_interval_s(workload))
    return Exchange(
        client_argv=iperf3_client_command(workload, protocol, (str(path.address), path.port), run_s=run_s),
        client_timeout_s=run_s + CONNECT_TIMEOUT_MS / 1000 + 15,
        read=partial(_read, workload=workload),
        listener=Listener(server, Protocol.TCP, path.server_port),
    )


def _read(completed: Completed, *, workload: Workload) -> Readings:
    if completed.status and not completed.stdout.strip():
        raise CommandFailed(completed.argv, completed.status, completed.stderr)
    return parse_iperf3(
        completed.stdout,
        duration_s=workload.duration_s,
        warmup_s=workload.warmup_s,
        interval_s=sample_interval_s(workload),
    )


class _Window:
    """The span of time in which an interval must begin to count; a tenth of an interval is tolerance."""

    def __init__(self, begin_s: float, end_s: float, interval_s: float) -> None:
        self.begin_s = begin_s - interval_s / 10
        self.end_s = end_s - interval_s / 10
        self.least_s = interval_s / 2

    def sums(self, side: Json) -> list[Json]:
        """Return the sums over all streams of the intervals inside the window."""
        sums = [_object(interval, "sum") for interval in _objects(side, "intervals")]
        return [row for row in sums if self._holds(_number(row, "start"), _number(row, "seconds"))]

    def _holds(self, start_s: float, seconds: float) -> bool:
        return self.begin_s <= start_s < self.end_s and seconds >= self.least_s


def _transport_summary(document: Json, received: Sequence[Json], window: _Window) -> dict[str, float]:
    if "lost_packets" in received[0]:
        jitter_ms = _number(_object(_object(document, "end"), "sum"), "jitter_ms")
        return {
            "sent_packets": sum(_number(row, "packets") for row in received),
            "lost_packets": sum(_number(row, "lost_packets") for row in received),
            "jitter_us": jitter_ms * 1000,
        }
    return {"retransmits": sum(_number(row, "retransmits") for row in window.sums(document))}


def _cpu(document: Json) -> dict[str, float]:
    percent = _object(_object(document, "end"), "cpu_utilization_percent")
    return {
        "client_cpu": _number(percent, "host_total") / 100,
        "server_cpu": _number(percent, "remote_total") / 100,
    }


def _document(printed: str) -> Json:
    try:
        document = json.loads(printed)
    except (ValueError, RecursionError) as error:
        raise ToolOutputError(TOOL, "it printed no complete JSON", printed) from error
    if not isinstance(document, dict):
        raise ToolOutputError(TOOL, "it printed no JSON object", printed)
    if "error" in document:
        raise ToolOutputError(TOOL, f"it says: {document['error']}")
    return document


def _object(parent: Json, key: str) -> Json:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise ToolOutputError(TOOL, f"its JSON lacks the object '{key}'", str(value))
    return value


def _objects(parent: Json, key: str) -> list[Json]:
    value = parent.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ToolOutputError(TOOL, f"its JSON lacks the list of objects '{key}'", str(value))
    return cast("list[Json]", value)


def _number(parent: Json, key: str) -> float:
    value = parent.get(key)
    if isinstance(value, int | float) and abs(value) < 1e18:
        return float(value)
    raise ToolOutputError(TOOL, f"its JSON lacks the number '{key}'", str(value))
