"""Chains and rules of iptables in one namespace, through iptables-nft-save and iptables-nft-restore.

One change is one call of iptables-restore, in force table by table, each table's part at once or not at
all. `iptables_text` reads what the tools print and writes what they take; the driver remembers what it
applied, so that it can make a change without asking the kernel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from testbed.dataplanes.program import Difference, ProgramObject, difference
from testbed.drivers.iptables_text import (
    Chain,
    IptablesObject,
    Place,
    chains_of,
    changed_chains,
    in_parts,
    iptables_objects,
    observed,
    parse,
    repair,
    rules_of,
    transaction,
)
from testbed.drivers.netlink import LINES_UNFORCED, may_send_large_messages
from testbed.drivers.shell import run
from testbed.errors import CommandFailed, RunFailed

RESTORE_TIMEOUT_S = 300.0
_SAVE = ("iptables-nft-save",)
_RESTORE = ("iptables-nft-restore", "--noflush")
_MOST_NAMED = 5


class IptablesDriver:
    """iptables of one namespace ("": where we are), by its nft variant."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._applied: dict[Place, Chain] | None = None

    def observe(self, wanted: Sequence[ProgramObject]) -> tuple[IptablesObject, ...]:
        """Return the wanted objects that are in force, and what else there is of ours.

        Rules in a chain of ours that nobody wants there count as the chain's own.

        Raises:
            CommandFailed: iptables cannot read the tables.
        """
        return observed(parse(run(_SAVE, namespace=self._namespace)), iptables_objects(wanted))

    def apply(self, wanted: Sequence[ProgramObject]) -> None:
        """Bring the namespace to the wanted chains and rules, and verify it. Twice changes nothing.

        Raises:
            CommandFailed: iptables refuses something.
            RunFailed: something is not in force afterwards, or a rule's chain is not in the program.
        """
        mine = iptables_objects(wanted)
        text = repair(parse(run(_SAVE, namespace=self._namespace)), mine)
        self._applied = None
        if text:
            self._restore(text)
            self._verify(mine)
        self._applied = chains_of(mine)

    def change(self, change: Difference) -> None:
        """Make one change to the program that was applied, and remember it. Nothing is observed.

        Chains of ours in which the change has a rule are written whole; all others cost nothing. After a
        failure the driver does not know what is in force, and the whole program must be applied again.

        Raises:
            CommandFailed: iptables refuses something.
            RunFailed: no program is applied, or a rule's chain is not in the program.
        """
        if self._applied is None:
            raise RunFailed(
                "a change of iptables, but no program is known to be in force",
                where=self._namespace,
                fix="apply the whole program first",
            )
        chains = self._applied
        changed = changed_chains(chains, change)
        text = transaction(rules_of(chains, changed), rules_of(changed, changed))
        self._applied = None
        if text:
            self._restore(text)
        chains.update(changed)
        for place in [place for place, chain in changed.items() if not chain]:
            del chains[place]
        self._applied = chains

    def _restore(self, text: str) -> None:
        text = text if may_send_large_messages() else in_parts(text, LINES_UNFORCED)
        try:
            run(_RESTORE, namespace=self._namespace, stdin=text, timeout_s=RESTORE_TIMEOUT_S)
        except CommandFailed as error:
            said = f"{error.stderr.strip()}{_quoted(text, error.stderr)}"
            raise CommandFailed(error.argv, error.status, said, namespace=self._namespace) from error

    def _verify(self, wanted: Sequence[IptablesObject]) -> None:
        left = difference(self.observe(wanted), wanted)
        if not left:
            return
        named = [f"no {thing.key}" for thing in left.added]
        named += [f"otherwise than asked for: {thing.key}" for thing in left.replaced]
        named += [f"still there: {thing.key}" for thing in left.removed]
        more = f"; and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        raise RunFailed(
            f"not in force after it was set: {'; '.join(named[:_MOST_NAMED])}{more}", where=self._namespace
        )


def _quoted(text: str, stderr: str) -> str:
    """Return the line that iptables-restore complains about, to stand behind its complaint."""
    number = re.search(r"line:? (\d+)", stderr)
    lines = text.splitlines()
    if number is None or not 0 < int(number[1]) <= len(lines):
        return ""
    return f"\nline {number[1]} is: {lines[int(number[1]) - 1]}"
