"""What a run sweeps: its axes in order, and which of its variants make a curve over a number. Pure.

Owns how the record's `sweep` is read: a list of values at a dotted path, or a named axis, whose labels each
stand for settings that go together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from testbed.records.schema import RunRecord

Setting = str | int | float | bool
"""A value that a variant was given."""

FEWEST_NUMBERS = 2
"""One number makes a point, two make a slope."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that a run sweeps: its dotted path or own name, and its variants' values in order."""

    key: str
    values: tuple[Setting, ...]

    @property
    def is_number(self) -> bool:
        """Whether there are numbers enough on it, and nothing else, to draw a line over them."""
        return len(self.values) >= FEWEST_NUMBERS and all(map(_is_number, self.values))


@dataclass(frozen=True, slots=True)
class Scaling:
    """A swept number, and what else is swept beside it.

    `numbers` rise. `groups` are the labels of the other axis, ("",) where there is none; `variants` maps a
    group and a number to the variant that has both. A combination that the run does not have is missing.
    """

    key: str
    numbers: tuple[float, ...]
    group_key: str
    groups: tuple[str, ...]
    variants: Mapping[tuple[str, float], str]

    @property
    def has_groups(self) -> bool:
        """Whether something else than the number is swept."""
        return len(self.groups) > 1


def swept_axes(record: RunRecord) -> tuple[Axis, ...]:
    """Return what the variants of a run differ in, sorted by key; values in the order of the experiment."""
    settings = settings_by_variant(record).values()
    keys = sorted({key for values in settings for key in values})
    return tuple(
        Axis(key, _in_order(record, key, [values[key] for values in settings if key in values]))
        for key in keys
    )


def scaling_of(record: RunRecord) -> Scaling | None:
    """Return the number that a run sweeps beside at most one other axis; None where there is none.

    Of two numbers, the one with more values is that number, and the other one the other axis.
    """
    axes = [axis for axis in swept_axes(record) if len(axis.values) > 1]
    by_length = sorted(axes, key=lambda axis: (-len(axis.values), axis.key))
    numbers = [axis for axis in by_length if axis.is_number]
    if not numbers or len(axes) > 2:
        return None
    number = numbers[0]
    other = next((axis for axis in axes if axis is not number), None)
    variants = {
        (str(values[other.key]) if other else "", float(values[number.key])): variant
        for variant, values in settings_by_variant(record).items()
        if number.key in values and (other is None or other.key in values)
    }
    return Scaling(
        key=number.key,
        numbers=tuple(sorted(map(float, number.values))),
        group_key=other.key if other else "",
        groups=tuple(map(str, other.values)) if other else ("",),
        variants=variants,
    )


def settings_by_variant(record: RunRecord) -> dict[str, Mapping[str, Setting]]:
    """Return the settings of every variant; none for one that was built and never measured."""
    built: dict[str, Mapping[str, Setting]] = {cell.variant: {} for cell in record.cells}
    return built | {trial.variant: trial.settings for trial in record.trials}


def inner_spec(record: RunRecord) -> Mapping[str, object]:
    """Return what an experiment has below `spec`, or all of it where the record holds that part alone."""
    inner = record.spec.get("spec", record.spec)
    return inner if isinstance(inner, Mapping) else {}


def sweep_order(record: RunRecord) -> Mapping[str, tuple[object, ...]]:
    """Return the values that the experiment lists for every axis, the labels of a named one."""
    sweep = inner_spec(record).get("sweep")
    if not isinstance(sweep, Mapping):
        return {}
    return {
        str(name): tuple(values)
        for name, values in sweep.items()
        if isinstance(values, list | tuple | Mapping)
    }


def named_settings(record: RunRecord) -> Mapping[str, Mapping[str, Mapping[str, object]]]:
    """Return, for every named axis, its labels and the values that each puts at which dotted paths.

    A label may put a whole mapping at a path; each of its values then has a path of its own.
    """
    sweep = inner_spec(record).get("sweep")
    axes = sweep.items() if isinstance(sweep, Mapping) else ()
    return {
        str(name): {str(label): dict(_leaves(values)) for label, values in labels.items()}
        for name, labels in axes
        if isinstance(labels, Mapping)
    }


def _leaves(values: object, path: str = "") -> Iterator[tuple[str, object]]:
    if not isinstance(values, Mapping):
        yield path, values
        return
    for key, value in values.items():
        yield from _leaves(value, f"{path}.{key}" if path else str(key))


def rank_of_value(listed: Sequence[object], value: object) -> tuple[int, float, str]:
    """Return a key that sorts values as listed, then other numbers by size, then other text by name."""
    texts = [str(item) for item in listed]
    if str(value) in texts:
        return (0, float(texts.index(str(value))), "")
    if isinstance(value, int | float):
        return (1, float(value), "")
    return (2, math.inf, str(value))


def _in_order(record: RunRecord, key: str, values: Sequence[Setting]) -> tuple[Setting, ...]:
    listed = sweep_order(record).get(key, ())
    distinct = dict.fromkeys(values)
    return tuple(sorted(distinct, key=lambda value: rank_of_value(listed, value)))


def _is_number(value: Setting) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
