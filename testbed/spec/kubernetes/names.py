"""The API's rules for names, labels and ports, as annotated types.

Sources: RFC 1123, RFC 1035, RFC 6335 and k8s.io/apimachinery/pkg/util/validation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Strict

from testbed.inet import Protocol
from testbed.spec.problem import (
    Problem,
    described,
    listing,
    nearest,
    refuse_if_any,
    refused,
    shortened,
)
from testbed.spec.values import Text, between

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")

LABEL_RULE = "a DNS label is 1 to 63 of a-z, 0-9 and '-', and begins and ends with a letter or digit"
LABEL_1035_RULE = (
    "a Service's name is 1 to 63 of a-z, 0-9 and '-', begins with a letter and ends with a letter or digit"
)
SUBDOMAIN_RULE = (
    "a DNS subdomain is 1 to 253 of a-z, 0-9, '-' and '.', "
    "and each part begins and ends with a letter or digit"
)
PORT_NAME_RULE = (
    "a port name is 1 to 15 of a-z, 0-9 and single '-', with a letter in it and no '-' at its ends"
)
LABEL_VALUE_RULE = (
    "a label value is up to 63 of letters, digits, '-', '_' and '.', with a letter or digit at its ends"
)
LABEL_KEY_RULE = (
    "a label key is up to 63 of letters, digits, '-', '_' and '.', with a letter or digit at its ends, "
    "after an optional DNS subdomain and '/'"
)


def is_dns_label(text: str) -> bool:
    """Whether the text is a DNS label (RFC 1123)."""
    return len(text) <= 63 and bool(_LABEL.fullmatch(text))


def is_dns_label_1035(text: str) -> bool:
    """Whether the text is a DNS label that begins with a letter (RFC 1035)."""
    return len(text) <= 63 and bool(_LABEL_1035.fullmatch(text))


def is_dns_subdomain(text: str) -> bool:
    """Whether the text is a DNS subdomain (RFC 1123)."""
    return len(text) <= 253 and bool(_SUBDOMAIN.fullmatch(text))


def is_port_name(text: str) -> bool:
    """Whether the text is an IANA service name (RFC 6335, section 5.1)."""
    return (
        len(text) <= 15
        and bool(_LABEL.fullmatch(text))
        and "--" not in text
        and any(letter.isalpha() for letter in text)
    )


def is_label_value(text: str) -> bool:
    """Whether the text may be a label's value; an empty one may."""
    return not text or (len(text) <= 63 and bool(_QUALIFIED.fullmatch(text)))


def is_label_key(text: str) -> bool:
    """Whether the text may be the key of a label or of an annotation."""
    prefix, slash, name = text.rpartition("/")
    if slash and not is_dns_subdomain(prefix):
        return False
    return len(name) <= 63 and bool(_QUALIFIED.fullmatch(name))


def _named(test: Callable[[str], bool], rule: str, *, may_be_empty: bool = False) -> AfterValidator:
    def check(value: str) -> str:
        # An empty string is Go's zero value: where the API has a field optional, it takes it as not set.
        if test(value) or (may_be_empty and not value):
            return value
        what = f"'{shortened(value)}' is not a valid name" if value else "the name is empty"
        raise refused(what, rule, _mended(value, test))

    return AfterValidator(check)


def _mended(value: str, test: Callable[[str], bool]) -> str:
    simpler = re.sub(r"[^a-z0-9.-]+", "-", value.lower()).strip("-.")
    return f"'{simpler}' would be valid" if simpler != value and test(simpler) else ""


def quote_if_not_text(value: object) -> object:
    """Refuse a boolean or a number where text is required, and name quoting as the fix."""
    if isinstance(value, bool):
        what = f"{described(value)} stands where text is required"
        raise refused(what, "YAML 1.1 takes yes, no, on and off for booleans", "put the word in quotes")
    if isinstance(value, int | float):
        raise refused(f"{described(value)} stands where text is required", "", "put it in quotes")
    return value


QuotedText = Annotated[str, Strict(), BeforeValidator(quote_if_not_text)]
DnsLabel = Annotated[QuotedText, _named(is_dns_label, LABEL_RULE)]
DnsLabel1035 = Annotated[QuotedText, _named(is_dns_label_1035, LABEL_1035_RULE)]
DnsSubdomain = Annotated[QuotedText, _named(is_dns_subdomain, SUBDOMAIN_RULE)]


PortName = Annotated[QuotedText, _named(is_port_name, PORT_NAME_RULE, may_be_empty=True)]
OptionalDnsLabel = Annotated[QuotedText, _named(is_dns_label, LABEL_RULE, may_be_empty=True)]
OptionalDnsSubdomain = Annotated[QuotedText, _named(is_dns_subdomain, SUBDOMAIN_RULE, may_be_empty=True)]

Port = Annotated[int, Strict(), between(1, 65535, "a port")]


def _check_labels(labels: dict[str, str]) -> dict[str, str]:
    refuse_if_any(_label_problems(labels))
    return labels


def _label_problems(labels: dict[str, str]) -> list[Problem]:
    problems = [
        Problem(f"'{shortened(key)}' is not a valid label key", LABEL_KEY_RULE, path=(key,), at_key=True)
        for key in labels
        if not is_label_key(key)
    ]
    return problems + [
        Problem(f"'{shortened(value)}' is not a valid label value", LABEL_VALUE_RULE, path=(key,))
        for key, value in labels.items()
        if not is_label_value(value)
    ]


def _check_annotations(annotations: dict[str, str]) -> dict[str, str]:
    refuse_if_any(
        Problem(f"'{shortened(key)}' is not a valid annotation key", LABEL_KEY_RULE, path=(key,), at_key=True)
        for key in annotations
        if not is_label_key(key.lower())
    )
    return annotations


def _empty_for_null(value: object) -> object:
    """Take a null in a map of strings as "", the zero value, as the API server does."""
    if isinstance(value, dict):
        return {key: "" if item is None else item for key, item in value.items()}
    return value


Labels = Annotated[dict[Text, QuotedText], BeforeValidator(_empty_for_null), AfterValidator(_check_labels)]
Annotations = Annotated[
    dict[Text, QuotedText], BeforeValidator(_empty_for_null), AfterValidator(_check_annotations)
]


def _protocol(value: object) -> object:
    if isinstance(value, Protocol):
        return value
    names = [protocol.value for protocol in Protocol]
    if not isinstance(value, str):
        raise refused(f"{described(value)} is not a protocol", listing(names))
    if value not in names:
        raise refused(f"'{shortened(value)}' is not a protocol", listing(names), nearest(value, names))
    return Protocol(value)


def _not_sctp(value: object) -> object:
    if value == Protocol.SCTP:
        raise refused("'SCTP' is not supported", "allowed: TCP, UDP")
    # "" is the zero value: the API server makes it TCP.
    return Protocol.TCP if value == "" else value


ProtocolName = Annotated[Protocol, BeforeValidator(_protocol)]
ServedProtocol = Annotated[Protocol, BeforeValidator(_protocol), BeforeValidator(_not_sctp)]
