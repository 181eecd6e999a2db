"""Tables of nftables in a namespace: one transaction a change, read back as text.

Owns the order within a transaction and the tables that a program declares, whole; what their objects are
is `dataplanes.nftables`' business, what nft prints of them `nftables_listing`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from testbed.dataplanes.nftables import NftChain, NftElement, NftObject, NftSet, NftTable
from testbed.dataplanes.program import Difference, ProgramObject, difference
from testbed.drivers.netlink import LINES_UNFORCED, may_send_large_messages
from testbed.drivers.nftables_listing import LISTING_OPTIONS, declared_the_same, read_listing, recognised
from testbed.drivers.shell import run
from testbed.errors import CommandFailed, RunFailed

_TIMEOUT_S = 600.0
"""The kernel's time for a transaction grows with the square of the rules that have a set in them."""
_ABSENT = "No such file or directory"
"""What nft, which knows no other language, says of a table that is not there."""
_NAMED_AT_MOST = 5
"""Objects in one message."""


class NftablesDriver:
    """nftables in one network namespace ("": where we are).

    An ordinary user's sandbox takes long transactions in parts only (`netlink`), not all in force at once.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def observe(self, wanted: Sequence[ProgramObject]) -> tuple[ProgramObject, ...]:
        """Return all that is in the wanted tables: the wanted object itself where it is in force.

        Raises:
            CommandFailed: nft cannot read the namespace.
        """
        return self._observe(own_objects(wanted))

    def apply(self, wanted: Sequence[ProgramObject]) -> None:
        """Bring the wanted tables to a program, in one transaction, and verify that they have it.

        A table is made anew, in that transaction, if something in it is declared otherwise than wanted: the
        type of a set, or the hook of a chain, cannot be altered.

        Raises:
            CommandFailed: nft refuses something; nothing of the transaction is in force then.
            RunFailed: something is not in force afterwards.
        """
        mine = own_objects(wanted)
        observed = self._observe(mine)
        removed_first = _to_make_anew(observed, mine)
        kept = [thing for thing in observed if _table_of(thing) not in removed_first]
        change = difference(kept, mine)
        if change:
            self._load([*(NftTable(name).removal() for name in removed_first), *transaction(change)])
            self._verify(mine)

    def change(self, change: Difference) -> None:
        """Make one change to a program that was applied, in one transaction of the change's own size.

        Raises:
            CommandFailed: nft refuses something; nothing of the change is in force then.
            RunFailed: the change is one of a table itself, which only `apply` can make.
        """
        altered = [thing for thing in change.replaced if isinstance(thing, NftTable)]
        if altered:
            raise RunFailed(f"{altered[0].key} cannot be altered while it is there", where=self.namespace)
        self._load(transaction(change))

    def _observe(self, wanted: Sequence[NftObject]) -> tuple[NftObject, ...]:
        tables = [thing.name for thing in wanted if isinstance(thing, NftTable)]
        shown = [thing for name in tables for thing in read_listing(self._listing(name))]
        return recognised(shown, wanted)

    def _listing(self, table: str) -> str:
        """Return a table as nft prints it, "" where there is none.

        Asking for it finds out at once; `nft list tables` takes a second where there are 5,000 Services.
        """
        argv = ["nft", *LISTING_OPTIONS, "list", "table", *table.split()]
        try:
            return run(argv, namespace=self.namespace, timeout_s=_TIMEOUT_S)
        except CommandFailed as error:
            if _ABSENT in error.stderr:
                return ""
            raise

    def _load(self, lines: Sequence[str]) -> None:
        """Send lines in one transaction; in several where the kernel takes no message that long.

        What refers to something comes after it, so each part stands by itself.
        """
        size = len(lines) if may_send_large_messages() else LINES_UNFORCED
        for start in range(0, len(lines), size or 1):
            text = "\n".join(lines[start : start + size])
            run(["nft", "-f", "-"], namespace=self.namespace, stdin=f"{text}\n", timeout_s=_TIMEOUT_S)

    def _verify(self, wanted: Sequence[NftObject]) -> None:
        left = difference(self._observe(wanted), wanted)
        wrong = [
            *(f"missing: {thing.text()}" for thing in left.added),
            *(f"different: {thing.text()}" for thing in left.replaced),
            *(f"not wanted: {thing.text()}" for thing in left.removed),
        ]
        if wrong:
            more = f"; and {len(wrong) - _NAMED_AT_MOST} more" if len(wrong) > _NAMED_AT_MOST else ""
            what = "; ".join(wrong[:_NAMED_AT_MOST])
            raise RunFailed(f"nftables are not as they were set: {what}{more}", where=self.namespace)


def transaction(change: Difference) -> list[str]:
    """Return the lines of `nft -f` that make a change.

    What refers to something is taken away before it and put in after it: elements are taken out and
    chains emptied; tables, sets and chains are declared; rules and elements are put in; chains, sets and
    tables that nothing refers to any more are removed. Linux before 6.2 notices too late that nothing does,
    and refuses; kube-proxy, which must run there, leaves empty chains behind for a second.
    """
    removed, replaced = own_objects(change.removed), own_objects(change.replaced)
    coming = [*own_objects(change.added), *replaced]
    return [
        *(thing.removal() for thing in (*removed, *replaced) if isinstance(thing, NftElement)),
        *(thing.flush() for thing in removed if isinstance(thing, NftChain)),
        *_declarations(coming),
        *(thing.flush() for thing in replaced if isinstance(thing, NftChain)),
        *(line for thing in coming if isinstance(thing, NftChain) for line in thing.rule_lines()),
        *(thing.text() for thing in coming if isinstance(thing, NftElement)),
        *_removals(removed),
    ]


def own_objects(objects: Iterable[ProgramObject]) -> list[NftObject]:
    """Return those of a program's objects that are nftables'."""
    return [thing for thing in objects if isinstance(thing, NftObject)]


def _declarations(coming: Sequence[NftObject]) -> Iterator[str]:
    for kind in (NftTable, NftSet):
        yield from (thing.text() for thing in coming if isinstance(thing, kind))
    yield from (thing.declaration() for thing in coming if isinstance(thing, NftChain))


def _removals(going: Sequence[NftObject]) -> Iterator[str]:
    for kind in (NftChain, NftSet, NftTable):
        yield from (thing.removal() for thing in going if isinstance(thing, kind))


def _to_make_anew(observed: Iterable[NftObject], wanted: Iterable[NftObject]) -> list[str]:
    """Return the names of tables in which something is declared otherwise than wanted, sorted."""
    asked = {thing.key: thing for thing in wanted}
    return sorted(
        {
            _table_of(thing)
            for thing in observed
            if thing.key in asked and not declared_the_same(thing, asked[thing.key])
        }
    )


def _table_of(thing: NftObject) -> str:
    return thing.name if isinstance(thing, NftTable) else thing.table
