"""What a probe came to, whichever tool carried it out, and what it takes to carry one out.

Owns the two types that the tool modules hand to `trial`: readings, and the exchange of client and server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

import numpy as np
from numpy.typing import NDArray

from testbed.inet import IPAddress, Protocol
from testbed.measurement.clock import Clock
from testbed.measurement.host import Completed, RunningProgram

Samples = NDArray[np.float64]
"""One-dimensional, in the order in which they were taken, all finite."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Samples by metric (`records.schema.METRICS`) and what the tool says beside them, units in the names."""

    samples: Mapping[str, Samples]
    summary: Mapping[str, float]


def any_address(like: IPAddress) -> str:
    """Return the wildcard address of an address's family: servers listen on all of their own namespace."""
    return "::" if like.version == 6 else "0.0.0.0"  # noqa: S104


@dataclass(frozen=True, slots=True)
class Listener:
    """The server's side of an exchange: what to start, and the socket that shows it is ready."""

    argv: tuple[str, ...]
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """One probe, ready to be carried out.

    `listener` is None where the kernel itself answers (ping). `scratch_files` are what the client leaves
    behind. `read` turns the ended client into readings; it raises RunFailed where there are none. `idle_s`
    is how long the client, once connected, does nothing before its first message. `attend` is for a client
    that does not end by itself: what to do while it runs, after which it is ended.
    """

    client_argv: tuple[str, ...]
    client_timeout_s: float
    read: Callable[[Completed], Readings]
    listener: Listener | None = None
    scratch_files: tuple[FilePath, ...] = field(default=())
    idle_s: float = 0.0
    attend: Callable[[RunningProgram, Clock], None] | None = None
