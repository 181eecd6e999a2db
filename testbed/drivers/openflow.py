"""The testbed's end of the controller's state socket: hands over intents, waits for the acknowledgement.

One request at a time, a JSON line each way; controllers/app.py documents the requests.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from testbed.errors import NotReady, RunFailed
from testbed.intent import ClusterIntent, IntentObject
from testbed.intent_wire import node_to_wire, objects_to_wire

Json = dict[str, Any]  # a JSON object; its values are checked where they are read


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the controller did: entries sent, barriers awaited, seconds from request to last barrier."""

    entries: int
    barriers: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Delta:
    """Objects to set, and keys of objects to remove."""

    changed: Mapping[str, IntentObject] = field(default_factory=dict)
    removed: Iterable[str] = ()

    def to_wire(self) -> Json:
        """Return the JSON form."""
        return {"set": objects_to_wire(self.changed), "delete": sorted(self.removed)}


class ControllerClient:
    """A connection to the controller. A context manager."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rw", encoding="utf-8")

    def __enter__(self) -> ControllerClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.close()
        self._socket.close()

    def hand_over(self, intent: ClusterIntent, *, timeout_s: float = 60.0) -> Acknowledgement:
        """Hand over a whole state; return when every bridge has it in force.

        Raises:
            RunFailed: a bridge is missing, or refused something: which, and what.
            NotReady: the controller did not answer in time.
        """
        return self._acknowledged(
            {
                "op": "snapshot",
                "nodes": [node_to_wire(intent.nodes[name]) for name in sorted(intent.nodes)],
                "shared": objects_to_wire(intent.shared),
                "local": {name: objects_to_wire(intent.local[name]) for name in sorted(intent.local)},
            },
            timeout_s,
        )

    def update(
        self, shared: Delta, local: Mapping[str, Delta] | None = None, *, timeout_s: float = 60.0
    ) -> Acknowledgement:
        """Change some objects; return when every bridge that they touch has them in force.

        Raises:
            RunFailed, NotReady: as for `hand_over`.
        """
        return self._acknowledged(
            {
                "op": "update",
                "shared": shared.to_wire(),
                "local": {name: delta.to_wire() for name, delta in (local or {}).items()},
            },
            timeout_s,
        )

    def differences(self, *, timeout_s: float = 60.0) -> Mapping[str, Mapping[str, list[str]]]:
        """Return, per "node/bridge", the entries that are missing, different or unwanted: none is well."""
        differences: Mapping[str, Mapping[str, list[str]]] = self._request({"op": "observe"}, timeout_s)[
            "differences"
        ]
        return differences

    def connected(self, *, timeout_s: float = 10.0) -> tuple[str, ...]:
        """Return the bridges that are connected, as "node/bridge"."""
        return tuple(self._request({"op": "status"}, timeout_s)["connected"])

    def _acknowledged(self, request: Json, timeout_s: float) -> Acknowledgement:
        reply = self._request(request, timeout_s)
        return Acknowledgement(reply["entries"], reply["barriers"], reply["seconds"])

    def _request(self, request: Json, timeout_s: float) -> Json:
        self._socket.settimeout(timeout_s + 5)
        try:
            self._lines.write(json.dumps({**request, "timeout": timeout_s}) + "\n")
            self._lines.flush()
            line = self._lines.readline()
        except TimeoutError as error:
            raise NotReady(f"the controller's answer to '{request['op']}'", timeout_s, "nothing") from error
        except OSError as error:
            raise RunFailed(f"the controller's socket failed: {error}") from error
        if not line:
            raise RunFailed("the controller closed its socket: it has ended")
        reply: Json = json.loads(line)
        if not reply["ok"]:
            raise RunFailed("the controller reports: " + "; ".join(reply["errors"][:10]))
        return reply
