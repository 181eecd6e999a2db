"""Program: opens TCP connections one after the other and prints how long each took.

Run inside the client's namespace as `python -I connect_client.py ADDRESS PORT COUNT [--warmup N]`. Uses the
standard library alone and imports nothing of the testbed, so that it starts at once. Every connection has a
fresh socket; the time runs from the call of connect() to its return. Closing with a reset leaves no
TIME_WAIT behind, so ports never run out. Prints one JSON object: {"connect_ns": [...], "errors":
{"ECONNREFUSED": 3}}; a warm-up connection is in neither. It ends early after CONSECUTIVE_TIMEOUTS: the two
then add up to less than COUNT, for the reader to see.
"""

from __future__ import annotations

import argparse
import errno
import gc
import json
import socket
import struct
import sys
from collections import Counter
from time import perf_counter_ns

TIMEOUT_S = 3
CONSECUTIVE_TIMEOUTS = 3
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_TIMEOUT = struct.pack("ll", TIMEOUT_S, 0)


def connect_once(family: int, address: str, port: int) -> int:
    """Return the nanoseconds that one connection took.

    Raises:
        OSError: it was refused or the network is unreachable; EINPROGRESS after TIMEOUT_S.
    """
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        # The kernel's own time-out: Python's would put the socket into non-blocking mode and add a poll().
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEOUT)
        began_ns = perf_counter_ns()
        connection.connect((address, port))
        return perf_counter_ns() - began_ns


def connect_many(address: str, port: int, count: int) -> tuple[list[int], dict[str, int]]:
    """Return the nanoseconds of the connections that came about, and the others counted by errno name."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connect_ns: list[int] = []
    errors: Counter[str] = Counter()
    timeouts = 0
    for _ in range(count):
        try:
            connect_ns.append(connect_once(family, address, port))
            timeouts = 0
        except OSError as error:
            name = _name(error)
            errors[name] += 1
            timeouts = timeouts + 1 if name == "ETIMEDOUT" else 0
            if timeouts == CONSECUTIVE_TIMEOUTS:
                break
    return connect_ns, dict(sorted(errors.items()))


def main() -> None:
    """Read the command line, connect, print."""
    parser = argparse.ArgumentParser(description="Open TCP connections and print how long each took.")
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--warmup", type=int, default=0)
    arguments = parser.parse_args()
    gc.disable()
    connect_many(arguments.address, arguments.port, arguments.warmup)
    connect_ns, errors = connect_many(arguments.address, arguments.port, arguments.count)
    json.dump({"connect_ns": connect_ns, "errors": errors}, sys.stdout)


def _name(error: OSError) -> str:
    if error.errno == errno.EINPROGRESS:  # how SO_SNDTIMEO ends a connect(), see socket(7)
        return "ETIMEDOUT"
    return errno.errorcode.get(error.errno or 0, "UNKNOWN")


if __name__ == "__main__":
    main()
