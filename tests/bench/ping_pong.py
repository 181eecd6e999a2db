"""Request and response over TCP, by turns over several paths: one client process, one server process.

Both ends of all paths are the same two processes, so that what differs between two turns is the path alone.
They wait in the kernel for each message, as sockperf's ping-pong does. As a program, this file is the server.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from time import perf_counter_ns

from testbed.emulation.namespaces import entered
from testbed.errors import RunFailed

MESSAGE_BYTES = 64
READY = "ready"
"""The line that the server prints when it listens on all paths."""
_TIMEOUT_S = 10.0
_BETWEEN_PLAYS = 0
"""The path on which the server waits when no turn is under way."""


def connect(namespace: str, address: str, port: int) -> socket.socket:
    """Connect to the server over the path that begins in a namespace.

    Raises:
        OSError: it does not answer.
    """
    with entered(namespace):
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.settimeout(_TIMEOUT_S)
    made.connect((address, port))
    made.settimeout(None)  # with a time-out, Python would poll before each call
    return made


def play(
    paths: Sequence[socket.socket], turns: Sequence[int], *, warmup: int, messages: int
) -> list[list[float]]:
    """Exchange messages, a turn after the other.

    Args:
        paths: the connections, in the order in which the server was given its namespaces.
        turns: which path each turn takes, as an index.
        warmup: messages at the start of a turn that do not count.
        messages: messages that do.

    Returns:
        A list a turn, with the microseconds that each message took there and back.

    Raises:
        RunFailed: the server has gone.
    """
    _exchange(paths[_BETWEEN_PLAYS], _naming(turns[0]))
    found = []
    for turn, following in zip(turns, (*turns[1:], _BETWEEN_PLAYS), strict=True):
        path, message = paths[turn], _naming(turn)
        taken_ns = [_exchange(path, message) for _ in range(warmup + messages - 1)]
        taken_ns.append(_exchange(path, _naming(following)))
        found.append([each / 1000 for each in taken_ns[warmup:]])
    return found


def serve(port: int, namespaces: Sequence[str]) -> None:
    """Listen in every namespace, take one connection in each, and send back what comes, until one ends.

    Each message names the path on which the next one comes: one thread can wait for them all without asking
    first who has something.
    """
    with ExitStack() as stack:
        listening = [stack.enter_context(_listen(namespace, port)) for namespace in namespaces]
        print(READY, flush=True)
        paths = [stack.enter_context(each.accept()[0]) for each in listening]
        for path in paths:
            path.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        turn = _BETWEEN_PLAYS
        while message := paths[turn].recv(MESSAGE_BYTES, socket.MSG_WAITALL):
            paths[turn].sendall(message)
            turn = message[0]


def _exchange(path: socket.socket, message: bytes) -> int:
    began = perf_counter_ns()
    path.sendall(message)
    back = path.recv(MESSAGE_BYTES, socket.MSG_WAITALL)
    taken = perf_counter_ns() - began
    if len(back) != MESSAGE_BYTES:
        raise RunFailed("the ping-pong server closed a connection")
    return taken


def _naming(path: int) -> bytes:
    return bytes([path]) * MESSAGE_BYTES


def _listen(namespace: str, port: int) -> socket.socket:
    with entered(namespace):
        return socket.create_server(("", port))


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2:])
