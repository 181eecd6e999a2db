"""Service.

The ClusterIP is served; a node port or a load balancer gives a notice, in `testbed.spec.bundle`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from testbed.inet import Protocol
from testbed.spec.kubernetes.meta import KubernetesObject, ObjectMeta
from testbed.spec.kubernetes.names import (
    PORT_NAME_RULE,
    DnsLabel1035,
    Labels,
    OptionalDnsLabel,
    Port,
    ServedProtocol,
    is_port_name,
)
from testbed.spec.model import SpecModel, repeated, words
from testbed.spec.problem import Problem, described, refuse_if_any, refused, shortened
from testbed.spec.values import Flag, NotSupported, Text, one_of, parse_unicast_address

HEADLESS = "None"
SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer")


def _target_port(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise refused(
            f"{described(value)} is not a port", "a number from 1 to 65535 or the name of a container port"
        )
    if isinstance(value, int) and not 1 <= value <= 65535:
        raise refused(
            f"{shortened(str(value))} is not a port",
            "1 to 65535 are allowed, or the name of a container port",
        )
    if isinstance(value, str) and not is_port_name(value):
        fix = f"write {value} without quotes" if value.isdecimal() else ""
        raise refused(f"'{shortened(value)}' is not the name of a container port", PORT_NAME_RULE, fix)
    return value


def _node_port(value: object) -> object:
    # 0 is the zero value: the API server takes it as not set.
    if value == 0 and not isinstance(value, bool):
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 30000 <= value <= 32767:
        raise refused(f"{described(value)} is not a node port", "30000 to 32767 are allowed")
    return value


class ServicePort(SpecModel):
    """A port of a Service. `target_port` defaults to `port`; `node_port` is None where none is given."""

    without_bearing: ClassVar[frozenset[str]] = words("appProtocol")

    name: OptionalDnsLabel = ""
    protocol: ServedProtocol = Protocol.TCP
    port: Port
    target_port: Annotated[int | str, BeforeValidator(_target_port)] = Field(
        default_factory=lambda data: int(data["port"])
    )
    node_port: Annotated[int | None, BeforeValidator(_node_port)] = None


def _cluster_ip(value: str) -> str:
    if value not in ("", HEADLESS):
        parse_unicast_address(value)
    return value


ClusterIP = Annotated[Text, AfterValidator(_cluster_ip)]


class ServiceSpec(SpecModel):
    """spec of a Service. `cluster_ip` is "" where the cluster chooses, and "None" for a headless Service."""

    without_bearing: ClassVar[frozenset[str]] = words("allocateLoadBalancerNodePorts")

    type: Annotated[Text, one_of(SERVICE_TYPES, unsupported=("ExternalName",))] = "ClusterIP"
    selector: Labels = Field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()
    cluster_ip: ClusterIP = Field(default="", alias="clusterIP")
    cluster_ips: tuple[ClusterIP, ...] = Field(
        default_factory=lambda data: (data["cluster_ip"],) if data["cluster_ip"] else (), alias="clusterIPs"
    )
    publish_not_ready_addresses: Flag = False
    session_affinity: Annotated[Text, one_of(("None",), unsupported=("ClientIP",))] = "None"
    internal_traffic_policy: Annotated[Text, one_of(("Cluster",), unsupported=("Local",))] = "Cluster"
    external_traffic_policy: Annotated[Text, one_of(("Cluster",), unsupported=("Local",))] = "Cluster"
    ip_families: tuple[Annotated[Text, one_of(("IPv4",), unsupported=("IPv6",))], ...] = ("IPv4",)
    ip_family_policy: Annotated[
        Text, one_of(("SingleStack",), unsupported=("PreferDualStack", "RequireDualStack"))
    ] = "SingleStack"
    session_affinity_config: NotSupported = None
    external_ips: NotSupported = Field(default=None, alias="externalIPs")
    external_name: NotSupported = None
    health_check_node_port: NotSupported = None
    load_balancer_class: NotSupported = None
    load_balancer_ip: NotSupported = Field(default=None, alias="loadBalancerIP")
    load_balancer_source_ranges: NotSupported = None
    traffic_distribution: NotSupported = None

    @property
    def is_headless(self) -> bool:
        """Whether the Service has no virtual address, by its own wish."""
        return self.cluster_ip == HEADLESS

    @model_validator(mode="after")
    def _is_sound(self) -> ServiceSpec:
        refuse_if_any(
            [
                *_port_problems(self),
                *_repeated_ports(self.ports),
                *_address_problems(self),
                *_family_problems(self),
            ]
        )
        return self


def _port_problems(spec: ServiceSpec) -> list[Problem]:
    problems = []
    if not spec.ports and not spec.is_headless:
        problems.append(Problem("a Service without ports", "at least one is required", path=("ports",)))
    for position, port in enumerate(spec.ports):
        if len(spec.ports) > 1 and not port.name:
            what = "a port without a name, in a Service that has several"
            problems.append(Problem(what, "", "add a name", ("ports", position)))
        if port.node_port and spec.type == "ClusterIP":
            what = "a nodePort in a Service of type ClusterIP"
            fix = "remove it, or write type: NodePort"
            problems.append(Problem(what, "", fix, ("ports", position, "nodePort")))
    return problems


def _repeated_ports(ports: tuple[ServicePort, ...]) -> list[Problem]:
    names = [port.name or position for position, port in enumerate(ports)]
    pairs = [(port.protocol, port.port) for port in ports]
    fixed = [(port.protocol, port.node_port or -position) for position, port in enumerate(ports)]
    return [
        *(
            Problem(
                f"the port name '{names[at]}' stands twice",
                "",
                "give each port its own name",
                ("ports", at, "name"),
            )
            for at in repeated(names)
        ),
        *(
            Problem(
                f"port {pairs[at][1]}/{pairs[at][0]} stands twice", "", "remove one of them", ("ports", at)
            )
            for at in repeated(pairs)
        ),
        *(
            Problem(
                f"nodePort {fixed[at][1]} stands twice", "", "remove one of them", ("ports", at, "nodePort")
            )
            for at in repeated(fixed)
        ),
    ]


def _address_problems(spec: ServiceSpec) -> list[Problem]:
    if spec.is_headless and spec.type != "ClusterIP":
        what = f"a Service of type {spec.type} cannot be headless"
        return [Problem(what, "", "remove clusterIP, or the type", ("clusterIP",))]
    if len(spec.cluster_ips) > 1:
        return [Problem("dual stack is not supported yet", "one address is allowed", path=("clusterIPs",))]
    if spec.cluster_ips and spec.cluster_ips[0] != spec.cluster_ip:
        given = spec.cluster_ip or "not given"
        what = f"the first of clusterIPs is {spec.cluster_ips[0]}, and clusterIP is {given}"
        return [Problem(what, "both must be equal", "remove clusterIPs", ("clusterIPs", 0))]
    return []


def _family_problems(spec: ServiceSpec) -> list[Problem]:
    if len(spec.ip_families) > 1:
        return [Problem("dual stack is not supported yet", "one family is allowed", path=("ipFamilies",))]
    return []


class ServiceMeta(ObjectMeta):
    """metadata of a Service: its name becomes a DNS label."""

    name: DnsLabel1035


class Service(KubernetesObject):
    """A Service."""

    kind: Literal["Service"]
    metadata: ServiceMeta
    spec: ServiceSpec
