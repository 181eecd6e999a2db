"""First-packet TCP connect time with the testbed's own client and server: commands, and reader of the JSON.

A sample is the time from connect() to connected: SYN, SYN-ACK, and whatever the dataplane does for the
first packet of a connection. The programs are run by their file, in Python's isolated mode, so that neither
the working directory nor the environment can change what they import.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path as FilePath

import numpy as np

from testbed.errors import CommandFailed
from testbed.inet import Protocol
from testbed.measurement import connect_client, connect_server
from testbed.measurement.errors import ToolOutputError
from testbed.measurement.host import Completed, Path
from testbed.measurement.readings import Exchange, Listener, Readings, any_address
from testbed.measurement.workload import Workload

TOOL = "connect"
WARMUP_CONNECTIONS = 20
SECONDS_PER_CONNECTION = 0.01
"""Allowed before the client is given up; a connection takes 0.00002 to 0.001 s."""


def connect_server_command(port: int, *, address: str) -> tuple[str, ...]:
    """Return the server's command; it listens on an address of its own namespace until it is ended."""
    return (sys.executable, "-I", str(connect_server.__file__), str(port), "--address", address)


def connect_client_command(target: tuple[str, int], *, count: int, warmup_count: int) -> tuple[str, ...]:
    """Return the client's command: `warmup_count` connections untimed, then `count` timed ones."""
    address, port = target
    amount = (str(count), "--warmup", str(warmup_count))
    return (sys.executable, "-I", str(connect_client.__file__), address, str(port), *amount)


def parse_connect(printed: str, *, count: int) -> Readings:
    """Return the connect times of one client.

    Returns:
        Samples connect_us; summary attempted_connections and failed_connections.

    Raises:
        ToolOutputError: no connection came about, or the client gave up before it had tried `count` times.
    """
    connect_ns, errors = _document(printed)
    failed = sum(errors.values())
    told = ", ".join(f"{name} {number} times" for name, number in sorted(errors.items())) or "no error"
    if len(connect_ns) + failed != count:
        raise ToolOutputError(
            TOOL, f"gave up after {len(connect_ns) + failed} of {count} connections: {told}"
        )
    if not connect_ns:
        raise ToolOutputError(TOOL, f"none of {count} connections came about: {told}")
    summary = {"attempted_connections": float(count), "failed_connections": float(failed)}
    return Readings({"connect_us": np.array(connect_ns, dtype=np.float64) / 1000}, summary)


def connect_exchange(workload: Workload, path: Path, _scratch_dir: FilePath) -> Exchange:
    """Return the exchange that measures a workload of type connect over a path."""
    return Exchange(
        client_argv=connect_client_command(
            (str(path.address), path.port), count=workload.count, warmup_count=WARMUP_CONNECTIONS
        ),
        client_timeout_s=30 + workload.count * SECONDS_PER_CONNECTION,
        read=partial(_read, count=workload.count),
        listener=Listener(
            connect_server_command(path.server_port, address=any_address(path.address)),
            Protocol.TCP,
            path.server_port,
        ),
    )


def _read(completed: Completed, *, count: int) -> Readings:
    if completed.status:
        raise CommandFailed(completed.argv, completed.status, completed.stderr)
    return parse_connect(completed.stdout, count=count)


def _document(printed: str) -> tuple[list[int], dict[str, int]]:
    try:
        document = json.loads(printed)
    except (ValueError, RecursionError) as error:
        raise ToolOutputError(TOOL, "the client printed no complete JSON", printed) from error
    if not isinstance(document, dict):
        raise ToolOutputError(TOOL, "the client printed no JSON object", printed)
    connect_ns, errors = document.get("connect_ns"), document.get("errors")
    if not isinstance(connect_ns, list) or not isinstance(errors, dict):
        raise ToolOutputError(TOOL, "the client's JSON lacks connect_ns or errors", printed)
    if not all(_is_count(value) for value in [*connect_ns, *errors.values()]):
        raise ToolOutputError(TOOL, "the client's JSON holds something other than numbers", printed)
    return connect_ns, errors


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
