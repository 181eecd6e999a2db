"""The vocabulary of iptables: chains and rules, in the exact form in which `iptables-save` prints them.

Rules are written canonically, so that what the kernel holds compares by text. A chain that one owner has
whole carries its rules; a chain that several owners share gets them one `IptablesRule` at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

BUILTIN_CHAINS = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})
"""Chains that every kernel has: others' rules may stand in them, so they are appended to, never rewritten."""


@dataclass(frozen=True, slots=True)
class IptablesChain:
    """A chain of ours, with the rules that it has for itself. A rule is what follows `-A CHAIN`."""

    table: str
    name: str
    rules: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"iptables chain {self.table} {self.name}"

    def text(self) -> str:
        lines = [f"iptables -t {self.table} -N {self.name}"]
        return "\n".join(
            [*lines, *(f"iptables -t {self.table} -A {self.name} {rule}" for rule in self.rules)]
        )


@dataclass(frozen=True, slots=True)
class IptablesRule:
    """A rule in a chain that others put rules into as well, built in or ours.

    The order within a chain follows from the rules alone: by `rank`, then by `place` (a Service's name and
    port, say), then by text. In a built-in chain, rules stand in that order after what is there already.
    """

    table: str
    chain: str
    rule: str
    rank: int = 0
    place: str = ""

    @property
    def key(self) -> str:
        return f"iptables rule {self.table} {self.chain} {self.rule}"

    @property
    def order(self) -> tuple[int, str, str]:
        """What rules of one chain are sorted by."""
        return (self.rank, self.place, self.rule)

    def text(self) -> str:
        return f"iptables -t {self.table} -A {self.chain} {self.rule}"


def probability(share: float) -> str:
    """Return a share, 0 to 1, as `-m statistic --mode random --probability` prints it: to 1 in 2**31."""
    return f"{round(share * 2**31) / 2**31:.11f}"
