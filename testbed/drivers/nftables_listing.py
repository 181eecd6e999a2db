"""Reads what `nft list table` prints, and tells which of the wanted objects it shows.

nft prints a rule otherwise than it was written: `mark set mark or 0x4000` comes back as `meta mark set meta
mark | 0x00004000`. Where the two texts differ, both are brought to one neutral form, word by word.

Text, not JSON: nft 1.0.6 needs a third longer for JSON, and leaves comments of tables and chains out. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from testbed.dataplanes.nftables import NftChain, NftElement, NftObject, NftSet, NftTable

LISTING_OPTIONS = ("--numeric-priority",)
"""What nft is asked for: by name, versions differ in which hooks they have names of priorities for."""

_WORD = re.compile(r'"[^"]*"|[^\s",]+|,')
_BRACES = re.compile(r"\{ ([^{}]*) \}")
_ITEM = re.compile(r'(?:"[^"]*"|[^",])+')
_SPAN = re.compile(r"(\d+)([dhms])(?!s)")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_NEUTRAL_WORDS = {
    "meta": "",  # `mark` and `meta mark` are the same
    "and": "&",
    "or": "|",
    "xor": "^",
    "tcp": "6",  # nft prints IANA's numbers where there is no /etc/protocols
    "udp": "17",
    "sctp": "132",
}


def read_listing(listing: str) -> tuple[NftObject, ...]:
    """Return the objects of a table, printed by `nft list table` with LISTING_OPTIONS; none for "".

    Elements that packets put in are left out, and so are objects that the vocabulary has no word for.
    """
    objects: list[NftObject] = []
    table = ""
    for kind, name, lines in _blocks(listing):
        if kind == "table":
            table = name
            objects.append(NftTable(name, _comment(lines), _listed(lines, "flags ")))
        elif kind == "chain":
            objects.append(_chain(table, name, lines))
        elif kind in {"set", "map"}:
            objects += _set_with_elements(table, name, lines)
    return tuple(objects)


def recognised(shown: Sequence[NftObject], wanted: Sequence[NftObject]) -> tuple[NftObject, ...]:
    """Return what a listing shows; in the place of what agrees with a wanted object, that object itself."""
    asked = {thing.key: thing for thing in wanted}
    if any(thing.key not in asked for thing in shown):
        asked |= {_place(thing): thing for thing in wanted}
    pairs = ((thing, asked.get(thing.key) or asked.get(_place(thing))) for thing in shown)
    return tuple(other if other and says_the_same(thing, other) else thing for thing, other in pairs)


def says_the_same(one: NftObject, other: NftObject) -> bool:
    """Tell whether two objects of one identity differ in nothing but how they are written."""
    if isinstance(one, NftChain) and isinstance(other, NftChain):
        return declared_the_same(one, other) and _rules_agree(one.rules, other.rules)
    if isinstance(one, NftElement) and isinstance(other, NftElement):
        return (one.verdict, one.comment) == (other.verdict, other.comment)
    return declared_the_same(one, other)


def declared_the_same(one: NftObject, other: NftObject) -> bool:
    """Tell whether two objects of one identity agree in what cannot be altered once they are there."""
    if isinstance(one, NftChain) and isinstance(other, NftChain):
        return one.comment == other.comment and (one.hook == other.hook or _hook(one) == _hook(other))
    if isinstance(one, NftSet) and isinstance(other, NftSet):
        return _set_declaration(one) == _set_declaration(other)
    return isinstance(one, NftElement) or one == other


def neutral(rule: str) -> str:
    """Return a rule, or the value of an element, in a form that does not depend on who wrote it."""
    words = (_neutral_word(word) for word in _WORD.findall(rule))
    return _BRACES.sub(_sorted_items, " ".join(filter(None, words)))


def _neutral_word(word: str) -> str:
    return str(int(word, 16)) if word.startswith("0x") else _NEUTRAL_WORDS.get(word, word)


def _sorted_items(braces: re.Match[str]) -> str:
    """An anonymous set has no order, and one with a single value is that value."""
    items = sorted(braces[1].split(" , "))
    return items[0] if len(items) == 1 else f"{{ {' , '.join(items)} }}"


def _rules_agree(some: Sequence[str], others: Sequence[str]) -> bool:
    return some == others or (
        len(some) == len(others)
        and all(
            one == other or neutral(one) == neutral(other) for one, other in zip(some, others, strict=True)
        )
    )


def _place(thing: NftObject) -> str:
    """Return an object's identity, whichever way the value of an element is written."""
    if isinstance(thing, NftElement):
        return f"nft element {thing.table} {thing.set_name} {neutral(thing.value)}"
    return thing.key


def _hook(chain: NftChain) -> tuple[str, ...]:
    """Return what is declared of a base chain; that its policy is accept goes without saying."""
    parts = (" ".join(part.split()) for part in chain.hook.split(";"))
    return tuple(part for part in parts if part not in {"", "policy accept"})


def _set_declaration(thing: NftSet) -> tuple[object, ...]:
    """A time-out implies the flag of that name, which nft then does not print."""
    flags = frozenset(thing.flags) - ({"timeout"} if thing.timeout_s else set())
    return (thing.type, thing.is_map, flags, thing.timeout_s, thing.comment)


def _blocks(listing: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield kind, name and inner lines of the table ("ip kube-proxy") and of each object in it."""
    kind, name = "", ""
    lines: list[str] = []
    for line in listing.splitlines():
        if line.startswith("\t\t"):
            lines.append(line[2:])
        elif line.endswith(" {"):
            yield kind, name, lines
            kind, _, name = line.strip().removesuffix(" {").partition(" ")
            lines = []
        elif line.startswith("\t") and kind == "table":
            lines.append(line[1:])
    yield kind, name, lines


def _chain(table: str, name: str, lines: Sequence[str]) -> NftChain:
    hook = next((line for line in lines if line.startswith("type ") and " hook " in line), "")
    rules = tuple(line for line in lines if line != hook and not line.startswith('comment "'))
    return NftChain(table, name, rules, hook.rstrip(";"), _comment(lines))


def _set_with_elements(table: str, name: str, lines: Sequence[str]) -> list[NftObject]:
    """Return a set or map, and its elements unless packets put them in."""
    kind = next((line.removeprefix("type ") for line in lines if line.startswith("type")), "")
    key, maps_to, verdict = kind.partition(" : ")
    timeout = next((line for line in lines if line.startswith("timeout ")), "")
    shown = NftSet(
        table,
        name,
        type=key if verdict == "verdict" else kind,
        is_map=bool(maps_to),
        flags=_listed(lines, "flags "),
        timeout_s=sum(int(count) * _SECONDS[unit] for count, unit in _SPAN.findall(timeout)),
        comment=_comment(lines),
    )
    if shown.timeout_s or {"dynamic", "timeout"} & set(shown.flags):
        return [shown]
    return [shown, *_elements(table, name, lines)]


def _elements(table: str, name: str, lines: Sequence[str]) -> Iterator[NftElement]:
    text = " ".join(lines).partition("elements = {")[2].rpartition("}")[0]
    for item in _ITEM.findall(text) if '"' in text else text.split(",") if text else ():
        left, _, verdict = item.strip().partition(" : ")
        value, _, comment = left.partition(' comment "')
        yield NftElement(table, name, value, verdict, comment.removesuffix('"'))


def _comment(lines: Sequence[str]) -> str:
    return next((line[9:-1] for line in lines if line.startswith('comment "')), "")


def _listed(lines: Sequence[str], word: str) -> tuple[str, ...]:
    return tuple(next((line.removeprefix(word).split(",") for line in lines if line.startswith(word)), ()))
