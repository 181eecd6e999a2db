"""What runs in Pods whose images cannot: one process that answers on every Pod's containerPorts.

It enters each Pod's network namespace to open the sockets there, then serves them all from one loop. TCP
answers every line, and HTTP requests, with a JSON object; UDP answers every datagram:

    {"pod": "default/web-1", "node": "node1", "protocol": "TCP", "server": "10.244.1.2:80", "client":
    "10.244.2.3:4711"}

Run as `python -m testbed.emulation.pod_server`. Requests are JSON lines on standard input, each answered by
a line on standard output: {"op": "open" | "close", "sockets": [{"namespace", "pod", "node", "protocol",
"port"}, ...]}.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from testbed.emulation.namespaces import enter

Json = dict[str, Any]  # a JSON object; its values are checked where they are read
_BACKLOG = 4096
_REQUEST_BYTES_MAX = 65_536
_HTTP_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ")


@dataclass(frozen=True, slots=True, order=True)
class Listening:
    """One port of one Pod."""

    namespace: str
    pod: str
    node: str
    protocol: str
    port: int

    def answer(self, server: tuple[str, int], client: tuple[str, int]) -> bytes:
        """Return the JSON object, without a line end, that tells a client whom it has reached."""
        return json.dumps(
            {
                "pod": self.pod,
                "node": self.node,
                "protocol": self.protocol,
                "server": f"{server[0]}:{server[1]}",
                "client": f"{client[0]}:{client[1]}",
            }
        ).encode()


@dataclass(slots=True)
class Conversation:
    """A TCP connection: what has been received and not yet been answered."""

    listening: Listening
    client: tuple[str, int]
    received: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes, server: tuple[str, int]) -> tuple[bytes, bool]:
        """Take data; return what to send, and whether to close afterwards."""
        self.received += data
        if self.received.startswith(_HTTP_METHODS):
            return self._http(server)
        answer = b""
        while (end := self.received.find(b"\n")) >= 0:
            del self.received[: end + 1]
            answer += self.listening.answer(server, self.client) + b"\n"
        return answer, len(self.received) > _REQUEST_BYTES_MAX

    def _http(self, server: tuple[str, int]) -> tuple[bytes, bool]:
        if b"\r\n\r\n" not in self.received:
            return b"", len(self.received) > _REQUEST_BYTES_MAX
        body = self.listening.answer(server, self.client) + b"\n"
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (b"" if self.received.startswith(b"HEAD ") else body), True


class PodServer:
    """All sockets of all Pods, in one selector."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._open: dict[Listening, socket.socket] = {}

    def serve(self) -> None:
        """Serve until standard input ends."""
        sys.stdin.reconfigure(line_buffering=True)  # type: ignore[union-attr] # a TextIOWrapper when run as a program
        self._selector.register(sys.stdin, selectors.EVENT_READ, None)
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    if not self._request(sys.stdin.readline()):
                        return
                elif isinstance(key.data, Conversation):
                    self._converse(_socket(key), key.data)
                else:
                    self._arrive(_socket(key), key.data)

    def _request(self, line: str) -> bool:
        if not line:
            return False
        request: Json = json.loads(line)
        act = self.open if request["op"] == "open" else self.close
        failed = [problem for wire in request["sockets"] for problem in act(Listening(**wire))]
        sys.stdout.write(json.dumps({"failed": failed}) + "\n")
        sys.stdout.flush()
        return True

    def open(self, listening: Listening) -> Iterator[str]:
        """Listen on a Pod's port; yield what went wrong, if anything."""
        if listening in self._open:
            return
        kind = socket.SOCK_STREAM if listening.protocol == "TCP" else socket.SOCK_DGRAM
        try:
            enter(listening.namespace)
            stream = socket.socket(socket.AF_INET, kind)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stream.setblocking(False)
            stream.bind(("0.0.0.0", listening.port))  # noqa: S104 - all addresses of the Pod's own namespace
            if kind == socket.SOCK_STREAM:
                stream.listen(_BACKLOG)
        except OSError as error:
            yield f"{listening.pod} {listening.protocol} {listening.port}: {error.strerror}"
            return
        self._open[listening] = stream
        self._selector.register(stream, selectors.EVENT_READ, listening)

    def close(self, listening: Listening) -> Iterator[str]:
        """Stop listening on a Pod's port; connections that exist go on."""
        stream = self._open.pop(listening, None)
        if stream is None:
            yield f"{listening.pod} {listening.protocol} {listening.port}: not open"
            return
        self._selector.unregister(stream)
        stream.close()

    def _arrive(self, stream: socket.socket, listening: Listening) -> None:
        if listening.protocol == "UDP":
            self._datagram(stream, listening)
            return
        try:
            connection, client = stream.accept()
        except OSError:
            return  # the client has gone again
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ, Conversation(listening, client))

    def _datagram(self, stream: socket.socket, listening: Listening) -> None:
        try:
            _, client = stream.recvfrom(_REQUEST_BYTES_MAX)
            stream.sendto(listening.answer(_local(listening, stream), client), client)
        except OSError:
            return  # an ICMP error of an earlier answer, or a full queue: UDP promises nothing

    def _converse(self, stream: socket.socket, conversation: Conversation) -> None:
        try:
            data = stream.recv(_REQUEST_BYTES_MAX)
            answer, is_last = conversation.take(data, stream.getsockname()[:2])
            if answer:
                stream.sendall(answer)
        except OSError:
            data, is_last = b"", True
        if is_last or not data:
            self._selector.unregister(stream)
            stream.close()


def _local(listening: Listening, stream: socket.socket) -> tuple[str, int]:
    return (stream.getsockname()[0], listening.port)


def _socket(key: selectors.SelectorKey) -> socket.socket:
    if not isinstance(key.fileobj, socket.socket):
        raise TypeError(f"not a socket: {key.fileobj!r}")
    return key.fileobj


if __name__ == "__main__":
    PodServer().serve()
