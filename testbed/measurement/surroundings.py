"""What all trials of a cell share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed.measurement.clock import Clock
from testbed.measurement.host import Pinning


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where client and servers are pinned, an existing folder for what tools write, and the time."""

    pinning: Pinning
    scratch_dir: Path
    clock: Clock
