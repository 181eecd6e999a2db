"""kind: Topology, the underlay: switches or routers, and the shape of the links."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from testbed.inet import IPNetwork
from testbed.spec.kubernetes.names import DnsSubdomain, Labels
from testbed.spec.model import SpecModel
from testbed.spec.problem import Problem, refuse_if_any
from testbed.spec.values import (
    BitRate,
    Cidr,
    Duration,
    Percent,
    Text,
    Whole,
    between,
    duration_between,
    one_of,
    parse_cidr,
)

TOPOLOGY_TYPES = ("single", "linear", "tree", "leaf-spine")
"""The shapes of underlay there are."""

KEYS_OF_TYPE = {
    "single": (),
    "linear": ("switches",),
    "tree": ("depth", "fanout"),
    "leaf-spine": ("leaves", "spines"),
}
"""Which of the keys that describe a shape belong to which type."""

MOST_SWITCHES = 128
Mtu = Annotated[Whole, between(576, 9216, "an MTU")]


class OwnMeta(SpecModel):
    """metadata of a Cluster or a Topology; for the reader alone."""

    name: DnsSubdomain | None = None
    labels: Labels = Field(default_factory=dict)


class LinkSpec(SpecModel):
    """The shape of a kind of link; what is not given is not shaped.

    `bandwidth` is in bits per second, `delay` in nanoseconds one way, `loss` a fraction from 0 to 1, `queue`
    in packets.
    """

    bandwidth: BitRate | None = None
    delay: Annotated[Duration, duration_between("0s", "10s")] | None = None
    loss: Percent | None = None
    queue: Annotated[Whole, between(1, 1_000_000, "a number of packets")] | None = None

    @model_validator(mode="after")
    def _bandwidth_is_some(self) -> LinkSpec:
        if self.bandwidth is not None and not 8_000 <= self.bandwidth <= 10**12:
            problem = Problem(
                "the bandwidth is out of range", "8kbit to 1Tbit are allowed", path=("bandwidth",)
            )
            refuse_if_any([problem])
        return self


class TopologySpec(SpecModel):
    """The underlay. `mtu` is in bytes and holds for every link.

    A key that describes another shape than `type` is refused; its attribute then holds the default.
    `switches` is None where a linear topology has one switch a node.
    """

    type: Annotated[Text, one_of(TOPOLOGY_TYPES)] = "single"
    switches: Annotated[Whole, between(1, MOST_SWITCHES, "a number of switches")] | None = None
    depth: Annotated[Whole, between(1, 5, "a depth")] = 2
    fanout: Annotated[Whole, between(1, 16, "a fan-out")] = 2
    leaves: Annotated[Whole, between(1, 64, "a number of leaf routers")] = 2
    spines: Annotated[Whole, between(1, 16, "a number of spine routers")] = 2
    node_link: LinkSpec = Field(default_factory=LinkSpec)
    fabric_link: LinkSpec = Field(default_factory=LinkSpec)
    mtu: Mtu = 1500
    node_cidr: Cidr = Field(default_factory=lambda: default_cidr("172.20.0.0/16"), alias="nodeCIDR")

    @model_validator(mode="after")
    def _is_sound(self) -> TopologySpec:
        refuse_if_any([*_foreign_keys(self), *_size_problems(self)])
        return self

    @model_serializer(mode="wrap")
    def _leave_out_foreign_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        shape_keys = {key for keys in KEYS_OF_TYPE.values() for key in keys}
        foreign = shape_keys - set(KEYS_OF_TYPE[self.type])
        return {
            key: value for key, value in handler(self).items() if key not in foreign and value is not None
        }


def default_cidr(text: str) -> IPNetwork:
    """Return the range that holds where a file gives none."""
    return parse_cidr(text)


def _foreign_keys(spec: TopologySpec) -> list[Problem]:
    owners = {key: kind for kind, keys in KEYS_OF_TYPE.items() for key in keys}
    return [
        Problem(
            f"{key} does not apply to type {spec.type}",
            f"it belongs to type {owners[key]}",
            "remove it, or change the type",
            (key,),
            at_key=True,
        )
        for key in sorted(spec.model_fields_set & owners.keys())
        if owners[key] != spec.type
    ]


def _size_problems(spec: TopologySpec) -> list[Problem]:
    if spec.type == "single" and spec.fabric_link.model_fields_set:
        what = "fabricLink does not apply to type single"
        return [Problem(what, "it has one switch", "shape nodeLink instead", ("fabricLink",), at_key=True)]
    count = sum(spec.fanout**level for level in range(spec.depth))
    if spec.type == "tree" and count > MOST_SWITCHES:
        what = f"a tree of depth {spec.depth} and fan-out {spec.fanout} has {count} switches"
        return [Problem(what, f"at most {MOST_SWITCHES} are allowed", path=("depth",))]
    return []


class Topology(SpecModel):
    """A file of kind: Topology."""

    api_version: Text
    kind: Literal["Topology"]
    metadata: OwnMeta = Field(default_factory=OwnMeta)
    description: Text = ""
    spec: TopologySpec
