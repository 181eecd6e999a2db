"""EndpointSlice of discovery.k8s.io/v1, for Services whose endpoints are given by hand."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from testbed.inet import Protocol
from testbed.spec.kubernetes.meta import KubernetesObject, ObjectMeta
from testbed.spec.kubernetes.names import OptionalDnsLabel, OptionalDnsSubdomain, Port, ServedProtocol
from testbed.spec.model import SpecModel, repeated, words
from testbed.spec.problem import Problem, refuse_if_any, refused
from testbed.spec.values import Flag, NotSupported, Text, UnicastAddress, one_of

MOST_ENDPOINTS = 1000
MOST_ADDRESSES = 100
MOST_PORTS = 100
SERVICE_NAME_LABEL = "kubernetes.io/service-name"


class EndpointConditions(SpecModel):
    """Whether an endpoint takes traffic. By default it is ready, serving if ready, and not terminating."""

    ready: Flag = True
    serving: Flag = Field(default_factory=lambda data: bool(data["ready"]))
    terminating: Flag = False


class TargetRef(SpecModel):
    """The object that an endpoint stands for."""

    without_bearing: ClassVar[frozenset[str]] = words("apiVersion fieldPath resourceVersion uid")

    kind: Text = ""
    name: Text = ""
    namespace: Text = ""


class SliceEndpoint(SpecModel):
    """One endpoint; its addresses are equivalent."""

    without_bearing: ClassVar[frozenset[str]] = words("deprecatedTopology zone")

    addresses: tuple[UnicastAddress, ...]
    conditions: EndpointConditions = Field(default_factory=EndpointConditions)
    hostname: OptionalDnsLabel = ""
    node_name: OptionalDnsSubdomain = ""
    target_ref: TargetRef | None = None
    hints: NotSupported = None

    @model_validator(mode="after")
    def _has_addresses(self) -> SliceEndpoint:
        if not 1 <= len(self.addresses) <= MOST_ADDRESSES:
            what = f"an endpoint with {len(self.addresses)} addresses"
            raise refused(what, f"1 to {MOST_ADDRESSES} are allowed", "", ("addresses",))
        return self


class SlicePort(SpecModel):
    """A port that every endpoint of the slice answers on."""

    without_bearing: ClassVar[frozenset[str]] = words("appProtocol")

    name: OptionalDnsLabel = ""
    protocol: ServedProtocol = Protocol.TCP
    port: Port


class EndpointSlice(KubernetesObject):
    """An EndpointSlice. Its label kubernetes.io/service-name ties it to a Service of its namespace."""

    kind: Literal["EndpointSlice"]
    metadata: ObjectMeta
    address_type: Annotated[Text, one_of(("IPv4",), unsupported=("IPv6", "FQDN"))]
    endpoints: tuple[SliceEndpoint, ...]
    ports: tuple[SlicePort, ...] = ()

    @property
    def service_name(self) -> str:
        """Name of the Service it belongs to, or ""."""
        return self.metadata.labels.get(SERVICE_NAME_LABEL, "")

    @model_validator(mode="after")
    def _is_sound(self) -> EndpointSlice:
        problems = [
            Problem(
                f"the port name '{self.ports[position].name}' stands twice",
                "each port needs its own name; one may be empty",
                path=("ports", position),
            )
            for position in repeated(port.name for port in self.ports)
        ]
        for key, count, most in (
            ("endpoints", len(self.endpoints), MOST_ENDPOINTS),
            ("ports", len(self.ports), MOST_PORTS),
        ):
            if count > most:
                problems.append(
                    Problem(f"{count} {key} in one slice", f"at most {most} are allowed", path=(key,))
                )
        refuse_if_any(problems)
        return self
