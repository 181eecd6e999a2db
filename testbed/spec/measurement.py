"""What an experiment measures: the types of measurement, the paths between Pods, and each type's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from testbed.inet import Protocol
from testbed.spec.kubernetes.names import DnsLabel, DnsLabel1035, Labels, ServedProtocol
from testbed.spec.model import SpecModel, repeated
from testbed.spec.problem import Problem, described, listing, nearest, refuse_if_any, refused, shortened
from testbed.spec.values import BitRate, Duration, Size, Text, Whole, between, duration_between, one_of

RAW_VETH = "raw-veth"
POD_PATHS = ("pod-same-node", "pod-other-node")
SERVICE_PATHS = ("clusterip-same-node", "clusterip-other-node", "hairpin")
MATRIX = (RAW_VETH, *POD_PATHS, *SERVICE_PATHS)
"""The path matrix, which every cluster of two nodes has."""

GENERATED_PATHS = ("first-service", "last-service")
"""Paths through the first and the last of the experiment's `services`."""

NEW_SERVICE = "new-service"
PATHS = (*MATRIX, *GENERATED_PATHS, NEW_SERVICE)
"""All paths, in the order in which figures show them."""

OTHER_NODE_PATHS = frozenset({"pod-other-node", "clusterip-other-node"})

PATHS_OF_TYPE: Mapping[str, tuple[str, ...]] = {
    "latency": MATRIX,
    "throughput": MATRIX,
    "connect": (*MATRIX, *GENERATED_PATHS),
    "ping": (RAW_VETH, *POD_PATHS),
    "programming": (NEW_SERVICE,),
}
"""Paths by type of measurement. A type that has raw-veth among them is always measured over it as well."""

MEASUREMENT_TYPES = tuple(PATHS_OF_TYPE)

KEYS_OF_TYPE: Mapping[str, frozenset[str]] = {
    "latency": frozenset({"protocols", "duration", "warmup", "message_size"}),
    "throughput": frozenset({"protocols", "duration", "warmup", "streams", "bandwidth"}),
    "connect": frozenset({"protocols", "count"}),
    "ping": frozenset({"count", "interval"}),
    "programming": frozenset({"count"}),
}
"""Which settings apply to which type, by attribute name."""

PROTOCOLS_OF_TYPE: Mapping[str, tuple[Protocol, ...]] = {
    "latency": (Protocol.TCP, Protocol.UDP),
    "throughput": (Protocol.TCP, Protocol.UDP),
    "connect": (Protocol.TCP,),
    "ping": (),
    "programming": (),
}
_DEFAULT_PROTOCOLS = {**PROTOCOLS_OF_TYPE, "throughput": (Protocol.TCP,)}
_DEFAULT_COUNTS = {"connect": 1000, "ping": 200, "programming": 10}
_MOST_COUNTED = 1_000_000
_MOST_PROGRAMMED = 1000


def _path_names(value: object) -> object:
    """Turn "all" into None, which stands for every path of the type that needs no generated Service."""
    if value == "all":
        return None
    if not isinstance(value, tuple | list):
        raise refused(
            f"{described(value)} is not a list of paths", f"allowed: all, or a list of {', '.join(PATHS)}"
        )
    return value


def _service_port(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise refused(f"{described(value)} is not a port of a Service", "its number or its name is expected")
    if isinstance(value, int) and not 1 <= value <= 65535:
        raise refused(f"{shortened(str(value))} is not a port", "1 to 65535 are allowed")
    return value


class Target(SpecModel):
    """What a measurement's clients aim at: a Service by name, or the Pods that carry labels.

    `namespace` and a textual `port` belong to `service`; with `pod`, `port` is the number of a container
    port.
    """

    service: DnsLabel1035 | None = None
    namespace: DnsLabel = "default"
    pod: Labels | None = None
    port: Annotated[int | str | None, BeforeValidator(_service_port)] = None

    @model_validator(mode="after")
    def _names_one_target(self) -> Target:
        if (self.service is None) == (self.pod is None):
            raise refused("the target is not clear", "either service or pod is expected")
        if self.pod == {}:
            raise refused("no labels", "at least one is required", "", ("pod",))
        if self.pod is not None and "namespace" in self.model_fields_set:
            raise refused("namespace does not apply to pod", "", "remove it", ("namespace",))
        if self.pod is not None and isinstance(self.port, str):
            raise refused(
                f"'{shortened(self.port)}' is not a number", "with pod, the port is a number", "", ("port",)
            )
        return self

    @model_serializer(mode="wrap")
    def _leave_out_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        shown = {key: value for key, value in handler(self).items() if value is not None}
        return shown if self.service is not None else {key: shown[key] for key in shown if key != "namespace"}


Seconds = Annotated[Duration, duration_between("100ms", "1h")]


class MeasurementSpec(SpecModel):
    """One measurement. Durations are in nanoseconds, `message_size` in bytes, `bandwidth` in bits per second.

    `paths` begins with raw-veth for every type but programming; beside it stand the paths that were chosen,
    or nothing where `client` and `target` (`from` and `to` in YAML) say between whom to measure. A setting of
    another type is refused, and its attribute then holds its default. `bandwidth` 0 is unlimited; `protocols`
    is empty for ping and programming.
    """

    name: DnsLabel
    type: Annotated[Text, one_of(MEASUREMENT_TYPES)]
    protocols: tuple[ServedProtocol, ...] = Field(
        default_factory=lambda data: _DEFAULT_PROTOCOLS[data["type"]]
    )
    path_names: Annotated[tuple[Text, ...] | None, BeforeValidator(_path_names)] = Field(
        default=None, alias="paths"
    )
    client: Labels | None = Field(default=None, alias="from")
    target: Target | None = Field(default=None, alias="to")
    duration: Seconds = Field(default="2s", validate_default=True)
    warmup: Annotated[Duration, duration_between("0s", "1h")] = Field(
        default="200ms",
        validate_default=True,
    )
    message_size: Size = Field(default=64, validate_default=True)
    streams: Annotated[Whole, between(1, 64, "a number of streams")] = 1
    bandwidth: BitRate = Field(default=0, validate_default=True)
    count: Whole = Field(default_factory=lambda data: _DEFAULT_COUNTS.get(data["type"], 1000))
    interval: Annotated[Duration, duration_between("1ms", "1m")] = Field(
        default="10ms",
        validate_default=True,
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths to measure, in the order of PATHS."""
        possible = PATHS_OF_TYPE[self.type]
        if self.target is not None:
            return (RAW_VETH,)
        if self.path_names is None:
            return tuple(path for path in possible if path not in GENERATED_PATHS)
        return tuple(path for path in possible if path == RAW_VETH or path in self.path_names)

    @model_validator(mode="after")
    def _is_sound(self) -> MeasurementSpec:
        refuse_if_any(
            [
                *_foreign_keys(self),
                *_protocol_problems(self),
                *_path_problems(self),
                *_end_problems(self),
                *_size_problems(self),
                *_count_problems(self),
            ]
        )
        return self

    @model_serializer(mode="wrap")
    def _leave_out_foreign_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        every = {key for keys in KEYS_OF_TYPE.values() for key in keys}
        foreign = {_alias(key) for key in every - KEYS_OF_TYPE[self.type]}
        shown = {
            key: value for key, value in handler(self).items() if key not in foreign and value is not None
        }
        return shown if self.target is not None else {**shown, "paths": list(self.paths)}


def _alias(attribute: str) -> str:
    return MeasurementSpec.model_fields[attribute].alias or attribute


def _foreign_keys(spec: MeasurementSpec) -> list[Problem]:
    every = {key for keys in KEYS_OF_TYPE.values() for key in keys}
    return [
        Problem(
            f"{_alias(key)} does not apply to {spec.type}",
            f"it applies to {', '.join(kind for kind in MEASUREMENT_TYPES if key in KEYS_OF_TYPE[kind])}",
            "remove it",
            (_alias(key),),
            at_key=True,
        )
        for key in sorted((spec.model_fields_set & every) - KEYS_OF_TYPE[spec.type])
    ]


def _protocol_problems(spec: MeasurementSpec) -> list[Problem]:
    allowed = PROTOCOLS_OF_TYPE[spec.type]
    if not allowed:
        return []
    if not spec.protocols:
        return [Problem("no protocol", listing(allowed), path=("protocols",))]
    problems = [
        Problem(f"{protocol} does not apply to {spec.type}", listing(allowed), path=("protocols", at))
        for at, protocol in enumerate(spec.protocols)
        if protocol not in allowed
    ]
    problems += [
        Problem("this protocol stands twice", path=("protocols", at)) for at in repeated(spec.protocols)
    ]
    if (
        "bandwidth" in spec.model_fields_set
        and spec.type == "throughput"
        and Protocol.UDP not in spec.protocols
    ):
        what = "bandwidth applies to UDP alone, and UDP is not measured"
        problems.append(Problem(what, "", "remove it, or add UDP to protocols", ("bandwidth",), at_key=True))
    return problems


def _path_problems(spec: MeasurementSpec) -> list[Problem]:
    names, allowed = spec.path_names or (), PATHS_OF_TYPE[spec.type]
    if spec.path_names == ():
        return [Problem("no path", "at least one is required", "write paths: all", ("paths",))]
    problems = [Problem("this path stands twice", path=("paths", at)) for at in repeated(names)]
    for at, name in enumerate(names):
        if name not in PATHS:
            what = f"'{shortened(name)}' is not a path"
            problems.append(Problem(what, listing(PATHS), nearest(name, PATHS), ("paths", at)))
        elif name not in allowed:
            what = f"{spec.type} cannot be measured over {name}: {_why_not(spec.type, name)}"
            problems.append(Problem(what, listing(allowed), "", ("paths", at)))
    return problems


def _why_not(kind: str, path: str) -> str:
    """Say why a type of measurement cannot have a path."""
    if kind == "programming":
        return "it adds a Service of its own"
    if path == NEW_SERVICE:
        return "it is the Service that programming adds"
    if kind == "ping":
        return "a ClusterIP answers on its ports alone"
    return "the Services of `services` have the port of connect alone"


def _end_problems(spec: MeasurementSpec) -> list[Problem]:
    given_ends = [("from", spec.client), ("to", spec.target)]
    if spec.type == "programming":
        what = "does not apply to programming: it adds a Service of its own"
        return [
            Problem(f"{key} {what}", "", "remove it", (key,), at_key=True)
            for key, value in given_ends
            if value is not None
        ]
    problems = []
    if "path_names" in spec.model_fields_set and (spec.client is not None or spec.target is not None):
        problems.append(
            Problem(
                "both paths and from/to are given", "one of them is expected", "", ("paths",), at_key=True
            )
        )
    if (spec.client is None) != (spec.target is None):
        given, missing = ("from", "to") if spec.target is None else ("to", "from")
        problems.append(
            Problem(
                f"{given} without {missing}", "both are required", f"add {missing}", (given,), at_key=True
            )
        )
    if spec.client == {}:
        problems.append(Problem("no labels", "at least one is required", "", ("from",)))
    if spec.target is not None:
        problems += _target_problems(spec, spec.target)
    return problems


def _target_problems(spec: MeasurementSpec, target: Target) -> list[Problem]:
    if spec.type != "ping":
        if target.pod is not None and target.port is None:
            return [Problem("pod without port", "", "add the port that the Pod answers on", ("to",))]
        return []
    if target.service is not None:
        what = "ping cannot be measured to a Service: a ClusterIP answers on its ports alone"
        return [Problem(what, "", "use pod", ("to", "service"))]
    return [Problem("port does not apply to ping", "", "remove it", ("to", "port"))] if target.port else []


def _size_problems(spec: MeasurementSpec) -> list[Problem]:
    most = 65_507  # the largest payload of a UDP datagram over IPv4 (RFC 768, RFC 791)
    if 14 <= spec.message_size <= most:
        return []
    what = f"a message of {spec.message_size} bytes is out of range"
    return [Problem(what, f"14 to {most} bytes are allowed", "", ("messageSize",))]


def _count_problems(spec: MeasurementSpec) -> list[Problem]:
    most = _MOST_PROGRAMMED if spec.type == "programming" else _MOST_COUNTED
    if 1 <= spec.count <= most:
        return []
    what = f"{shortened(str(spec.count))} is not a count for {spec.type}"
    return [Problem(what, f"1 to {most} are allowed", "", ("count",))]
