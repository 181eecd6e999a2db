"""What a plain YAML word means, by the rules that kubectl follows.

kubectl turns YAML into JSON with sigs.k8s.io/yaml, which reads YAML 1.1: `yes` and `on` are booleans and
`010` is eight. Dates stay text there, as they do here. Quoted words never come here: they are text.
"""

from __future__ import annotations

import math
import re

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_JSON = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INTEGERS = (
    (re.compile(r"[-+]?0[xX][0-9a-fA-F]+"), 16),
    (re.compile(r"[-+]?0[bB][01]+"), 2),
    (re.compile(r"[-+]?0[oO]?[0-7]+"), 8),
    (re.compile(r"[-+]?(?:0|[1-9][0-9]*)"), 10),
)
_LONGEST_INTEGER = 40


def resolved_scalar(text: str) -> bool | int | float | str | None:
    """Return the value of a plain word.

    Raises:
        ValueError: the word is a number that JSON cannot hold (infinity, not-a-number).
    """
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    return _number(text) if text[0] in "+-.0123456789" else text


def _number(text: str) -> int | float | str:
    if _NOT_JSON.fullmatch(text):
        msg = f"{text} is not a number that JSON can hold"
        raise ValueError(msg)
    digits = text.replace("_", "")
    if len(digits) <= _LONGEST_INTEGER:
        for pattern, base in _INTEGERS:
            if pattern.fullmatch(digits):
                return int(digits.lower().replace("0o", "0", 1), base) if base == 8 else int(digits, base)
    if not _FLOAT.fullmatch(digits):
        return text
    value = float(digits)
    if math.isinf(value):
        msg = f"{text[:20]} is too large a number"
        raise ValueError(msg)
    return value
