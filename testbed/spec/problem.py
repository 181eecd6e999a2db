"""What a validator says of a value: what is wrong, what is allowed, how to fix it. Knows no file.

`testbed.spec.translate` turns a Problem into a Finding by adding the place. A validator raises RefusedError,
a ValueError, so that pydantic collects it with the others of the same document.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches

KeyPath = tuple[str | int, ...]
"""Keys and list positions from some root down to a value."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a value. `path` leads from the value that was validated to the culprit inside it.

    `at_key` asks for the place of the key rather than of its value.
    """

    what: str
    allowed: str = ""
    fix: str = ""
    path: KeyPath = ()
    at_key: bool = False

    def under(self, *parent: str | int) -> Problem:
        """The same problem, seen from further up."""
        return replace(self, path=(*parent, *self.path))


class RefusedError(ValueError):
    """A value is refused, for one or more reasons."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.what for problem in problems))
        self.problems = problems


def refused(what: str, allowed: str = "", fix: str = "", path: KeyPath = ()) -> RefusedError:
    """Return the error that refuses a value for a single reason."""
    return RefusedError(Problem(what, allowed, fix, path))


def refuse_if_any(problems: Iterable[Problem]) -> None:
    """Raise RefusedError when there are problems."""
    found = tuple(problems)
    if found:
        raise RefusedError(*found)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for the known word that is closest, or "" when none is close."""
    names = sorted(known)
    by_lower_case = {name.lower(): name for name in reversed(names)}
    close = get_close_matches(word.lower(), sorted(by_lower_case), n=1, cutoff=0.6)
    return f"did you mean '{by_lower_case[close[0]]}'?" if close else ""


def listing(names: Iterable[str]) -> str:
    """Return "allowed: a, b, c", in the order given."""
    return f"allowed: {', '.join(names)}"


def described(value: object) -> str:
    """Name a value of a YAML file for a message: the number 5, the text 'abc', a list, a mapping."""
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {shortened(str(value))}"
    if isinstance(value, str):
        return f"the text '{shortened(value)}'" if value else "an empty text"
    if isinstance(value, dict):
        return "a mapping"
    return "empty" if value is None else "a list"


def shortened(text: str, limit: int = 60) -> str:
    """Return text on one line, cut to a length that still reads well in a message."""
    flat = text if text.isprintable() else repr(text)[1:-1]
    return flat if len(flat) <= limit else f"{flat[: limit - 3]}..."
