"""The vocabulary of nftables: tables, chains with their rules, sets, maps and their elements.

Each object's text is the line, or lines, that `nft -f` takes, and `removal` the line that takes it away;
`drivers.nftables` carries them out in one transaction. A table, given as family and name as in
"ip kube-proxy", belongs to its owner alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NftTable:
    """A table. `name` has the family in front, as in "ip kube-proxy"; the flag "dormant" disables it."""

    name: str
    comment: str = ""
    flags: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"nft table {self.name}"

    def text(self) -> str:
        flags = f"flags {','.join(self.flags)} ; " if self.flags else ""
        comment = f'comment "{self.comment}" ; ' if self.comment else ""
        inside = f" {{ {flags}{comment}}}" if flags or comment else ""
        return f"add table {self.name}{inside}"

    def removal(self) -> str:
        """The line that removes it, and all that is in it."""
        return f"delete table {self.name}"


@dataclass(frozen=True, slots=True)
class NftChain:
    """A chain and all its rules.

    `hook` makes it a base chain: "type nat hook prerouting priority -100", the priority as a number.
    Rules are written as nft takes them, but without parts that it leaves out when it prints them, such as
    `meta l4proto tcp` in front of `tcp dport`.
    """

    table: str
    name: str
    rules: tuple[str, ...] = ()
    hook: str = ""
    comment: str = ""

    @property
    def key(self) -> str:
        return f"nft chain {self.table} {self.name}"

    def declaration(self) -> str:
        """The line that makes the chain, without rules."""
        hook = f"{self.hook} ; " if self.hook else ""
        comment = f'comment "{self.comment}" ; ' if self.comment else ""
        inside = f" {{ {hook}{comment}}}" if hook or comment else ""
        return f"add chain {self.table} {self.name}{inside}"

    def rule_lines(self) -> tuple[str, ...]:
        """The lines that add its rules, in order."""
        return tuple(f"add rule {self.table} {self.name} {rule}" for rule in self.rules)

    def text(self) -> str:
        return "\n".join([self.declaration(), *self.rule_lines()])

    def flush(self) -> str:
        """The line that takes all rules out of it."""
        return f"flush chain {self.table} {self.name}"

    def removal(self) -> str:
        """The line that removes it, once nothing leads to it."""
        return f"delete chain {self.table} {self.name}"


@dataclass(frozen=True, slots=True)
class NftSet:
    """A set or, with `is_map`, a map to verdicts. `type` is as nft writes it: "ipv4_addr . inet_proto".

    One with the flag "dynamic", or a time-out, is filled by packets: its elements are nobody's to say.
    """

    table: str
    name: str
    type: str
    is_map: bool = False
    flags: tuple[str, ...] = ()
    timeout_s: int = 0
    comment: str = ""

    @property
    def key(self) -> str:
        return f"nft set {self.table} {self.name}"

    def text(self) -> str:
        kind, verdict = ("map", " : verdict") if self.is_map else ("set", "")
        flags = f" flags {','.join(self.flags)} ;" if self.flags else ""
        timeout = f" timeout {self.timeout_s}s ;" if self.timeout_s else ""
        comment = f' comment "{self.comment}" ;' if self.comment else ""
        return (
            f"add {kind} {self.table} {self.name} {{ type {self.type}{verdict} ;{flags}{timeout}{comment} }}"
        )

    def removal(self) -> str:
        """The line that removes it, once no rule refers to it."""
        return f"delete {'map' if self.is_map else 'set'} {self.table} {self.name}"


@dataclass(frozen=True, slots=True)
class NftElement:
    """An element of a set; of a map with its verdict: "10.96.0.1 . tcp . 80" to "goto service-..."."""

    table: str
    set_name: str
    value: str
    verdict: str = ""
    comment: str = ""

    @property
    def key(self) -> str:
        return f"nft element {self.table} {self.set_name} {self.value}"

    def entry(self) -> str:
        """The element as it stands between braces."""
        comment = f' comment "{self.comment}"' if self.comment else ""
        verdict = f" : {self.verdict}" if self.verdict else ""
        return f"{self.value}{comment}{verdict}"

    def text(self) -> str:
        return f"add element {self.table} {self.set_name} {{ {self.entry()} }}"

    def removal(self) -> str:
        """The line that takes it out of its set."""
        return f"delete element {self.table} {self.set_name} {{ {self.value} }}"


NftObject = NftTable | NftSet | NftChain | NftElement
