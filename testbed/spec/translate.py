"""From what pydantic reports to findings: our own words, the place in the file, the nearest known key.

The only module that knows pydantic's error types.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError

from testbed.errors import Finding
from testbed.spec.model import SpecModel, Tally
from testbed.spec.problem import KeyPath, Problem, RefusedError, described, nearest, shortened
from testbed.spec.tree import MappingNode, Node, descend, finding, plain

Model = TypeVar("Model", bound=SpecModel)

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "float_type": "a number",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_SHORT_ENOUGH_TO_LIST = 14


def validated(
    model: type[Model], node: Node, base: KeyPath = (), tally: Tally | None = None
) -> tuple[Model | None, tuple[Finding, ...]]:
    """Validate a tree; `base` leads to it from the root of its document.

    Returns:
        The model and no findings, or None and what is wrong.
    """
    try:
        return model.model_validate(plain(node), context=tally), ()
    except ValidationError as error:
        problems = problems_of(error, model, node)
        return None, tuple(finding(node, problem, base) for problem in problems)


def problems_of(error: ValidationError, model: type[SpecModel], node: Node) -> list[Problem]:
    """Return what pydantic reports as problems, with paths from the node's root."""
    problems = list[Problem]()
    for item in error.errors(include_url=False):
        path = _real_path(item["loc"], node)
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, RefusedError):
            problems += [problem.under(*path) for problem in cause.problems]
        elif item["type"] != "default_factory_not_called":
            problems.append(_problem(item["type"], path, model, node))
    return problems


def _problem(kind: str, path: KeyPath, model: type[SpecModel], node: Node) -> Problem:
    last = path[-1] if path else ""
    if kind == "missing":
        return Problem(f"{last} is missing", "it is required", path=path)
    if kind == "extra_forbidden":
        return _unknown_key(path, _known_keys(model, path[:-1]))
    value = _value_at(node, path)
    if kind in _EXPECTED:
        is_unquoted = kind == "string_type" and isinstance(value, bool | int | float)
        fix = "put it in quotes" if is_unquoted else ""
        return Problem(f"{described(value)} stands where {_EXPECTED[kind]} is required", "", fix, path)
    # Not reached by any value in tests/golden/bad or by the mutation test; a plain sentence if it ever is.
    return Problem(f"{described(value)} does not fit here", "", "docs/experiments.md lists every key", path)


def _unknown_key(path: KeyPath, known: frozenset[str]) -> Problem:
    key = str(path[-1])
    near = nearest(key, known)
    is_short = known and len(known) <= _SHORT_ENOUGH_TO_LIST
    allowed = f"known here: {', '.join(sorted(known))}" if is_short else ""
    return Problem(f"'{shortened(key)}' is not a known key", allowed, near, path, at_key=True)


def _value_at(node: Node, path: KeyPath) -> object:
    found = descend(node, *path)
    return None if found is None else plain(found)


def _real_path(location: tuple[int | str, ...], node: Node) -> KeyPath:
    """Drop the parts of pydantic's location that are not in the file: names of union members, "[key]"."""
    path, current = list[int | str](), node
    for position, segment in enumerate(location):
        below = descend(current, segment)
        is_last = position == len(location) - 1
        if below is not None:
            path.append(segment)
            current = below
        elif is_last and isinstance(current, MappingNode) and segment != "[key]":
            path.append(segment)
    return tuple(path)


def _known_keys(model: type[SpecModel], path: KeyPath) -> frozenset[str]:
    """Return the keys of the model at the end of a path."""
    found = model_at(model, path)
    return found.known_keys() if found else frozenset()


def model_at(model: type[SpecModel], path: KeyPath) -> type[SpecModel] | None:
    """Return the model that validates the mapping at the end of a path, or None where there is none."""
    current: Any = model
    for segment in path:
        below = _below(current, segment)
        if below is None:
            return None
        current = below
    return _model_in(current)


def _below(annotation: Any, segment: str | int) -> Any:
    """Return the type of a key's or a list item's value.

    Type annotations are Any because they are data here: pydantic keeps them so.
    """
    if isinstance(segment, int):
        items = _member(annotation, tuple)
        return get_args(items)[0] if items is not None else None
    model = _model_in(annotation)
    if model is not None:
        return fields_by_key(model).get(segment)
    mapping = _member(annotation, dict)
    return get_args(mapping)[1] if mapping is not None else None


def fields_by_key(model: type[SpecModel]) -> Mapping[str, Any]:
    """Return the types of a model's fields by the key that a file gives."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type alone; Annotated is looked through."""
    if hasattr(annotation, "__metadata__"):
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(inner for member in get_args(annotation) for inner in _members(member))
    return (annotation,)


def _member(annotation: Any, origin: type) -> Any:
    return next((member for member in _members(annotation) if get_origin(member) is origin), None)


def _model_in(annotation: Any) -> type[SpecModel] | None:
    members = _members(annotation)
    return next(
        (member for member in members if isinstance(member, type) and issubclass(member, SpecModel)), None
    )


def unknown_segment(model: type[SpecModel], path: KeyPath) -> tuple[int, frozenset[str]] | None:
    """Return the position of the first part of a path that leads nowhere, and the keys known there."""
    current: Any = model
    for position, segment in enumerate(path):
        below = _below(current, segment)
        if below is None:
            inner = _model_in(current)
            return position, inner.known_keys() if inner else frozenset()
        current = below
    return None
