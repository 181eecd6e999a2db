"""RunRecord to JSON text and back, checked against the types of `schema.py`. Touches no file.

The types of the dataclasses are the format: what a field may hold is read from its annotation. JSON has
neither NaN nor infinity, so a float that is not finite is written as null, and null where a float belongs is
read as NaN. The text has sorted keys and one space of indentation; equal records give equal bytes.
"""

from __future__ import annotations

import functools
import json
import math
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum

from testbed.errors import RunFailed, TestbedError
from testbed.records.schema import SCHEMA_VERSION, RunRecord

SCALARS = (bool, int, float, str)


def record_to_json(record: RunRecord) -> str:
    """Return the JSON text of a record, with a final newline.

    `spec` is written as JSON values: tuples become lists, keys become text.

    Raises:
        TypeError: a field holds something its annotation does not allow.
    """
    plain = _to_plain(record, RunRecord, "run")
    return json.dumps(plain, sort_keys=True, indent=1, allow_nan=False) + "\n"


def record_from_json(text: str, where: str) -> RunRecord:
    """Return the record that a JSON text holds.

    Args:
        text: what `record_to_json` wrote.
        where: the file's name, for messages.

    Raises:
        RunFailed: not JSON, another schema version, or a value of the wrong kind, named by its key path.
    """
    document = _parse(text, where)
    _check_version(document.get("schema_version"), where)
    record = _from_plain(document, RunRecord, "", where)
    if not isinstance(record, RunRecord):
        raise _damaged(where, "", "it does not hold a run")
    return record


def _parse(text: str, where: str) -> dict[str, object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunFailed(
            f"this is not complete JSON: {error}",
            where=where,
            fix="run the experiment again; the record is damaged",
        ) from error
    if not isinstance(document, dict):
        raise _damaged(where, "", "the outermost value is not an object")
    return document


def _check_version(version: object, where: str) -> None:
    if isinstance(version, bool) or not isinstance(version, int):
        raise _damaged(where, "schema_version", "it must be a whole number")
    if version > SCHEMA_VERSION:
        raise RunFailed(
            f"schema version {version} is newer than {SCHEMA_VERSION}, the newest this testbed reads",
            where=where,
            fix="update the testbed",
        )
    if version < SCHEMA_VERSION:
        raise RunFailed(
            f"schema version {version} is older than {SCHEMA_VERSION}, the oldest this testbed reads",
            where=where,
            fix="use the testbed that wrote it (provenance.git_commit), or run the experiment again",
        )


def _damaged(where: str, path: str, what: str) -> TestbedError:
    return RunFailed(
        f"{path}: {what}" if path else what,
        where=where,
        fix="run the experiment again; the record is damaged",
    )


@functools.cache
def _hints(kind: type) -> Mapping[str, object]:
    return typing.get_type_hints(kind)


def _members(kind: object) -> tuple[object, ...]:
    """Return the alternatives of a union, or the one type itself."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.get_args(kind)
    return (kind,)


# --- to JSON -----------------------------------------------------------------------------------------------


def _to_plain(value: object, kind: object, path: str) -> object:
    members = _members(kind)
    if value is None and type(None) in members:
        return None
    if isinstance(value, float) or (members == (float,) and isinstance(value, int)):
        return float(value) if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        hints = _hints(type(value))
        return {
            f.name: _to_plain(getattr(value, f.name), hints[f.name], f"{path}.{f.name}")
            for f in fields(value)
        }
    if isinstance(value, Mapping):
        of_values = (typing.get_args(kind) or (str, object))[1]
        return {str(key): _to_plain(item, of_values, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        of_items = (typing.get_args(kind) or (object,))[0]
        return [_to_plain(item, of_items, f"{path}[{index}]") for index, item in enumerate(value)]
    if value is None or isinstance(value, SCALARS):
        return value
    raise TypeError(f"{path}: {type(value).__name__} has no place in a record")


# --- from JSON ---------------------------------------------------------------------------------------------


def _from_plain(value: object, kind: object, path: str, where: str) -> object:
    if kind is object:
        return value
    members = _members(kind)
    if value is None:
        return _absent(members, path, where)
    for member in members:
        if isinstance(member, type) and is_dataclass(member):
            return _build(value, member, path, where)
        if isinstance(member, type) and issubclass(member, StrEnum):
            return _choice(value, member, path, where)
    if len(members) == 1 and typing.get_origin(kind) is not None:
        return _container(value, kind, path, where)
    return _scalar(value, members, path, where)


def _absent(members: tuple[object, ...], path: str, where: str) -> object:
    if type(None) in members:
        return None
    if float in members:
        return math.nan
    raise _damaged(where, path, "it must not be null")


def _build(value: object, kind: type, path: str, where: str) -> object:
    if not isinstance(value, dict):
        raise _damaged(where, path, "it must be an object")
    declared: dict[str, Field[object]] = {f.name: f for f in fields(kind)}
    prefix = f"{path}." if path else ""
    for name in sorted(set(value) - set(declared)):
        raise _damaged(where, f"{prefix}{name}", "unknown key")
    hints = _hints(kind)
    arguments: dict[str, object] = {}
    for name, f in declared.items():
        if name in value:
            arguments[name] = _from_plain(value[name], hints[name], f"{prefix}{name}", where)
        elif f.default is MISSING and f.default_factory is MISSING:
            raise _damaged(where, f"{prefix}{name}", "it is missing")
    built: object = kind(**arguments)
    return built


def _choice(value: object, kind: type[StrEnum], path: str, where: str) -> StrEnum:
    allowed = [member.value for member in kind]
    if not isinstance(value, str) or value not in allowed:
        raise _damaged(where, path, f"{value!r} is not one of {', '.join(allowed)}")
    return kind(value)


def _container(value: object, kind: object, path: str, where: str) -> object:
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise _damaged(where, path, "it must be a list")
        return tuple(_from_plain(item, arguments[0], f"{path}[{i}]", where) for i, item in enumerate(value))
    if not isinstance(value, dict):
        raise _damaged(where, path, "it must be an object")
    return {key: _from_plain(item, arguments[1], f"{path}.{key}", where) for key, item in value.items()}


def _scalar(value: object, members: tuple[object, ...], path: str, where: str) -> object:
    if type(value) in members:
        return value
    if type(value) is int and float in members and abs(value) <= sys.float_info.max:
        return float(value)
    names = ", ".join(member.__name__ for member in members if isinstance(member, type))
    raise _damaged(where, path, f"it must be of type {names}, not {type(value).__name__}")
