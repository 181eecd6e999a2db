"""Time as the trials see it: seconds since the run began, and the pause between two looks at a condition."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Time that a test can set."""

    def now_s(self) -> float:
        """Return the seconds since the run began; never goes back."""

    def pause(self, seconds: float) -> None:
        """Let that much time pass."""


class RunClock:
    """The machine's monotonic clock, counted from the moment this object is made."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    def now_s(self) -> float:
        """Return the seconds since this clock was made."""
        return time.monotonic() - self._began_s

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)
