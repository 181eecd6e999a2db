"""Annotated types of single values: units, addresses, bounded numbers, choices, what is not supported.

Each says in its own words what is allowed. The notation of units is `testbed.units`' part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, Strict

from testbed import units
from testbed.inet import IPAddress, IPNetwork
from testbed.spec.problem import described, listing, nearest, refused, shortened

Text = Annotated[str, Strict()]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]

Number = TypeVar("Number", int, float)


def between(low: int, high: int, noun: str) -> AfterValidator:
    """Accept a whole number from `low` to `high`; `noun` names it with its article ("a port")."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise refused(f"{shortened(str(value))} is not {noun}", f"{low} to {high} are allowed")
        return value

    return AfterValidator(check)


def one_of(choices: Sequence[str], unsupported: Sequence[str] = ()) -> AfterValidator:
    """Accept one of some words. `unsupported` are real words of the API that the testbed does not support."""

    def check(value: str) -> str:
        if value in unsupported:
            raise refused(f"'{value}' is not supported", listing(choices))
        if value not in choices:
            what = f"'{shortened(value)}' is not known" if value else "an empty text is not a choice"
            raise refused(what, listing(choices), nearest(value, choices))
        return value

    return AfterValidator(check)


def _refuse_field(value: object) -> None:
    """Refuse a networking field unless it holds its type's zero value, which the API takes as not set."""
    if value:
        raise refused(
            "this field is not supported", "", "remove it; the network that is built would not honour it"
        )


NotSupported = Annotated[None, BeforeValidator(_refuse_field)]
"""A real field of the API with bearing on networking that the testbed cannot honour."""


def _only_false(value: bool) -> bool:
    if value:
        raise refused("true is not supported", "only false is", "remove it; the network would not honour it")
    return value


OnlyFalse = Annotated[bool, Strict(), AfterValidator(_only_false)]


def _quantity(parse: Callable[[str], Number], forms: str, *, bare_numbers: bool) -> BeforeValidator:
    def check(value: object) -> object:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if is_number and (bare_numbers or value == 0):
            value = str(value)
        if not isinstance(value, str):
            raise refused(f"{described(value)} is not {forms}", "", "write a number with its unit")
        try:
            return parse(value)
        except ValueError as error:
            raise refused(shortened(str(error), 200)) from error

    return BeforeValidator(check)


BitRate = Annotated[
    units.BitsPerSecond,
    _quantity(units.parse_bit_rate, units.BIT_RATE_FORMS, bare_numbers=False),
    PlainSerializer(units.format_bit_rate),
]
Duration = Annotated[
    units.Nanoseconds,
    _quantity(units.parse_duration, units.DURATION_FORMS, bare_numbers=False),
    PlainSerializer(units.format_duration),
]
Size = Annotated[
    units.ByteCount,
    _quantity(units.parse_size, units.SIZE_FORMS, bare_numbers=True),
    PlainSerializer(units.format_size),
]
Percent = Annotated[
    float,
    _quantity(units.parse_percent, units.PERCENT_FORMS, bare_numbers=False),
    PlainSerializer(units.format_percent),
]


def duration_between(low: str, high: str) -> AfterValidator:
    """Accept a duration within bounds that are given as text."""

    def check(value: int) -> int:
        if not units.parse_duration(low) <= value <= units.parse_duration(high):
            raise refused(f"{units.format_duration(value)} is out of range", f"{low} to {high} are allowed")
        return value

    return AfterValidator(check)


_RESERVED = tuple(
    (IPv4Network(network), purpose)
    for network, purpose in (
        ("0.0.0.0/8", "'this network' (RFC 1122)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved (RFC 1112)"),
    )
)


def parse_cidr(value: object) -> IPNetwork:
    """Return a CIDR of either family that has no host bits and may be used for unicast."""
    example = "an address range such as 10.244.0.0/16"
    if not isinstance(value, str) or "/" not in value:
        raise refused(f"{described(value)} is not {example}")
    try:
        network = ip_network(value, strict=False)
        address = ip_address(value.split("/")[0])
    except ValueError as error:
        raise refused(f"'{shortened(value)}' is not {example}") from error
    if isinstance(network, IPv6Network):
        raise refused(f"'{value}' is IPv6, which is not supported yet", f"give {example}")
    if address != network.network_address:
        raise refused(f"'{value}' has host bits set", "", f"write {network}")
    for reserved, purpose in _RESERVED:
        if network.overlaps(reserved):
            raise refused(f"'{value}' overlaps {reserved}, which is {purpose}", "a unicast range is expected")
    return network


Cidr = Annotated[IPNetwork, BeforeValidator(parse_cidr), PlainSerializer(str)]


def parse_unicast_address(text: str) -> IPAddress:
    """Return an IPv4 address that an endpoint or a Service may have."""
    try:
        address = ip_address(text)
    except ValueError as error:
        raise refused(
            f"'{shortened(text)}' is not an IP address", "", "write one such as 10.96.0.20"
        ) from error
    if address.version == 6:
        raise refused(f"'{text}' is IPv6, which is not supported yet", "an IPv4 address is expected")
    for reserved, purpose in _RESERVED:
        if address in reserved:
            raise refused(f"{text} is {purpose}", "a unicast address is expected")
    return address


def _check_address(value: str) -> str:
    parse_unicast_address(value)
    return value


UnicastAddress = Annotated[str, Strict(), AfterValidator(_check_address)]
