"""What every driver of node state is: one mechanism, on one node.

A driver takes a whole program and picks what is its own by type; the rest is its neighbours'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from testbed.dataplanes.program import Difference, ProgramObject


class Driver(Protocol):
    """One mechanism on one node: the kernel's own networking, iptables, nftables, or Open vSwitch."""

    def observe(self, wanted: Sequence[ProgramObject]) -> tuple[ProgramObject, ...]:
        """Return what is in force, as the mechanism says it.

        That is those of the wanted objects that are there; and, where the mechanism can tell which objects
        are the testbed's, also those that nobody wants.
        """

    def apply(self, wanted: Sequence[ProgramObject]) -> None:
        """Bring the node to a program: observe, take the difference, change that, and observe again.

        Applying twice changes nothing.

        Raises:
            CommandFailed: the mechanism refuses something.
            RunFailed: something is not in force afterwards.
        """

    def change(self, change: Difference) -> None:
        """Make one change to a program that was applied, at the cost of the change.

        Raises:
            CommandFailed: the mechanism refuses something.
        """
