"""The base of every model, and the tally of what was accepted without bearing on networking.

A model is frozen, refuses unknown keys, and takes the API's camelCase names. Each model says in
`without_bearing` which real fields of its API type it accepts and leaves out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel


@dataclass(slots=True)
class Tally:
    """Counts what was accepted and left out during validation. Handed to pydantic as its context."""

    fields: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add another tally's counts to this one's."""
        self.fields.update(other.fields)
        self.kinds.update(other.kinds)

    def summary(self) -> str:
        """One line about everything that was left out, or "" when nothing was."""
        parts = [
            f"{counter.total()} {noun}{'s' if counter.total() > 1 else ''} ({_counts(counter)})"
            for noun, counter in (("object", self.kinds), ("field", self.fields))
            if counter
        ]
        return f"accepted without bearing on networking: {' and '.join(parts)}" if parts else ""


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


class SpecModel(BaseModel):
    """A frozen mapping with known keys. A key with the value null counts as absent, as in the API."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True
    )

    without_bearing: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _leave_out(cls, data: object, info: ValidationInfo) -> object:
        if not isinstance(data, dict):
            return data
        kept = {key: value for key, value in data.items() if value is not None}
        left_out = cls.without_bearing & kept.keys()
        if isinstance(info.context, Tally):
            info.context.fields.update(sorted(left_out))
        return {key: value for key, value in kept.items() if key not in left_out}

    def __eq__(self, other: object) -> bool:
        """Compare values alone: a key that is given with its default equals one that is left out."""
        return isinstance(other, SpecModel) and type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), repr(self)))

    @classmethod
    def known_keys(cls) -> frozenset[str]:
        """Every key that a file may give."""
        fields = {field.alias or name for name, field in cls.model_fields.items()}
        return cls.without_bearing | fields


def words(text: str) -> frozenset[str]:
    """Return the words of a text, for tables of field names."""
    return frozenset(text.split())


def repeated(values: Iterable[object]) -> list[int]:
    """Return the positions at which a value stands that came before."""
    seen, positions = set[object](), []
    for position, value in enumerate(values):
        if value in seen:
            positions.append(position)
        seen.add(value)
    return positions
