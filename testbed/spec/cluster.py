"""kind: Cluster: its nodes, its address ranges, its network plugin and its service proxy."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from testbed.dataplanes.catalogue import NETWORK_PLUGINS, SERVICE_PROXIES, Carrier
from testbed.inet import IPNetwork
from testbed.spec.kubernetes.names import DnsLabel, Labels, QuotedText
from testbed.spec.model import SpecModel, repeated
from testbed.spec.problem import Problem, described, listing, nearest, refuse_if_any, refused, shortened
from testbed.spec.topology import OwnMeta, TopologySpec, default_cidr
from testbed.spec.values import Cidr, Text, Whole, between, one_of

OVERHEAD_BYTES: Mapping[str, int] = {"vxlan": 50, "geneve": 50, "none": 0}
"""What each encapsulation takes away from the underlay's MTU (RFC 7348, RFC 8926 without options)."""

CARRIER_KEYS = ("encapsulation", "backend")
"""Keys of `network` that say how packets travel between nodes: each plugin knows one of them, or none."""

DATAPATH_TYPES = ("auto", "system", "netdev")
MOST_NODES = 200
SMALLEST_MTU = 576


SERVICE_RANGE_BITS = 20


def _mtu(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise refused(f"{described(value)} is not an MTU", "allowed: auto, or a number of bytes")


def _boolean(value: object) -> object:
    if isinstance(value, bool):
        return value
    raise refused(f"{described(value)} is not a boolean", "allowed: true, false")


class NetworkSpec(SpecModel):
    """The network plugin. `mtu` is a Pod's, in bytes; "auto" is what the underlay leaves room for.

    `encapsulation` and `backend` are None where the plugin does not know the key, or the file leaves it to
    the plugin's default; `carrier` is what they come to. `direct_routing` leaves packets between nodes of one
    segment without encapsulation.
    """

    plugin: Annotated[Text, one_of(tuple(NETWORK_PLUGINS))] = "ovs"
    encapsulation: Text | None = None
    backend: Text | None = None
    direct_routing: Annotated[bool, BeforeValidator(_boolean)] = False
    mtu: Annotated[int | Literal["auto"], BeforeValidator(_mtu)] = "auto"
    datapath_type: Annotated[Text, one_of(DATAPATH_TYPES)] = "auto"

    @property
    def carrier_name(self) -> str:
        """How packets travel between nodes, in the plugin's own word; "" where there is no choice."""
        facts = NETWORK_PLUGINS[self.plugin]
        given = getattr(self, facts.carrier_key) if facts.carrier_key else None
        return given if isinstance(given, str) else next(iter(facts.carriers))

    @property
    def carrier(self) -> Carrier:
        """How packets travel between nodes."""
        return NETWORK_PLUGINS[self.plugin].carriers[self.carrier_name]

    @model_validator(mode="after")
    def _is_sound(self) -> NetworkSpec:
        refuse_if_any(_foreign_keys(self))
        refuse_if_any(_carrier_problems(self))
        return self

    @model_serializer(mode="wrap")
    def _show_what_applies(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        facts = NETWORK_PLUGINS[self.plugin]
        own = {_alias(key) for key in ("plugin", "mtu", *facts.options)}
        shown = {key: value for key, value in handler(self).items() if key in own}
        return {**shown, **({facts.carrier_key: self.carrier_name} if facts.carrier_key else {})}


def _alias(attribute: str) -> str:
    return NetworkSpec.model_fields[attribute].alias or attribute


def _foreign_keys(spec: NetworkSpec) -> list[Problem]:
    facts = NETWORK_PLUGINS[spec.plugin]
    known = {"plugin", "mtu", facts.carrier_key, *facts.options}
    return [
        Problem(
            f"{_alias(key)} does not apply to network plugin {spec.plugin}",
            f"it belongs to {', '.join(_plugins_with(key))}",
            "remove it, or change the plugin",
            (_alias(key),),
            at_key=True,
        )
        for key in sorted(spec.model_fields_set - known)
    ]


def _plugins_with(key: str) -> list[str]:
    return [
        name for name, facts in NETWORK_PLUGINS.items() if key == facts.carrier_key or key in facts.options
    ]


def _carrier_problems(spec: NetworkSpec) -> list[Problem]:
    facts, name = NETWORK_PLUGINS[spec.plugin], spec.carrier_name
    if name not in facts.carriers:
        what = f"'{shortened(name)}' is not known" if name else "an empty text is not a choice"
        near = nearest(name, facts.carriers)
        return [Problem(what, listing(tuple(facts.carriers)), near, (facts.carrier_key,))]
    if spec.direct_routing and spec.carrier.encapsulation == "none":
        what = f"directRouting does not apply to {facts.carrier_key} {name}: nothing is encapsulated there"
        return [Problem(what, "", "remove it", ("directRouting",), at_key=True)]
    return []


def _default_proxy(plugin: str) -> str:
    return NETWORK_PLUGINS[plugin].service_proxies[0]


class ServiceProxySpec(SpecModel):
    """The service proxy."""

    mode: Annotated[Text, one_of(tuple(SERVICE_PROXIES))]


class NodeEntry(SpecModel):
    """A node of the cluster."""

    name: DnsLabel
    labels: Labels = Field(default_factory=dict)


class ImageSpec(SpecModel):
    """The program that runs where a manifest names an image: an argument list, never a shell line."""

    command: tuple[QuotedText, ...]

    @model_validator(mode="after")
    def _names_a_program(self) -> ImageSpec:
        if not self.command or not self.command[0].strip():
            raise refused("the command is empty", "its first word names a program", "", ("command",))
        return self


def _named_nodes(value: object) -> object:
    """Turn a number of nodes into that many entries called node1, node2, ..."""
    if isinstance(value, tuple | list):
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise refused(
            f"{described(value)} is neither a number of nodes nor a list of them", f"1 to {MOST_NODES} nodes"
        )
    if not 1 <= value <= MOST_NODES:
        raise refused(f"{value} is not a number of nodes", f"1 to {MOST_NODES} are allowed")
    return tuple({"name": f"node{number}"} for number in range(1, value + 1))


class ClusterSpec(SpecModel):
    """A cluster. `nodes` is in the order that fixes each node's index and podCIDR."""

    topology: TopologySpec = Field(default_factory=TopologySpec)
    nodes: Annotated[tuple[NodeEntry, ...], BeforeValidator(_named_nodes)] = Field(
        default=2,
        validate_default=True,
    )
    pod_cidr: Cidr = Field(default_factory=lambda: default_cidr("10.244.0.0/16"), alias="podCIDR")
    node_pod_prefix: Annotated[Whole, between(8, 30, "a prefix length for a node's block")] = 24
    service_cidr: Cidr = Field(default_factory=lambda: default_cidr("10.96.0.0/16"), alias="serviceCIDR")
    network: NetworkSpec = Field(default_factory=NetworkSpec)
    service_proxy: ServiceProxySpec = Field(
        default_factory=lambda data: ServiceProxySpec(mode=_default_proxy(data["network"].plugin))
    )
    images: dict[Text, ImageSpec] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_sound(self) -> ClusterSpec:
        refuse_if_any(
            [
                *_node_problems(self),
                *_range_problems(self),
                *_mtu_problems(self.network, self.topology),
                *_proxy_problems(self),
                *_plugin_size_problems(self),
            ]
        )
        return self

    @model_serializer(mode="wrap")
    def _leave_out_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {key: value for key, value in handler(self).items() if value != {}}


def _node_problems(spec: ClusterSpec) -> list[Problem]:
    if not 1 <= len(spec.nodes) <= MOST_NODES:
        return [Problem(f"{len(spec.nodes)} nodes", f"1 to {MOST_NODES} are allowed", path=("nodes",))]
    return [
        Problem(
            f"the node name '{spec.nodes[at].name}' stands twice",
            fix="rename one",
            path=("nodes", at, "name"),
        )
        for at in repeated(node.name for node in spec.nodes)
    ]


def _range_problems(spec: ClusterSpec) -> list[Problem]:
    ranges: tuple[tuple[str, tuple[str, ...], IPNetwork], ...] = (
        ("nodeCIDR", ("topology", "nodeCIDR"), spec.topology.node_cidr),
        ("podCIDR", ("podCIDR",), spec.pod_cidr),
        ("serviceCIDR", ("serviceCIDR",), spec.service_cidr),
    )
    problems = [
        Problem(
            f"{name} {network} overlaps {other} {taken}",
            "podCIDR, serviceCIDR and nodeCIDR must be apart",
            "change one of them",
            path,
        )
        for (other, _, taken), (name, path, network) in combinations(ranges, 2)
        if network.overlaps(taken)
    ]
    return [*problems, *_service_range_problems(spec), *_capacity_problems(spec)]


def _service_range_problems(spec: ClusterSpec) -> list[Problem]:
    """kube-apiserver takes ranges of up to 2**20 Service addresses (validateServiceClusterIPRange)."""
    cidr = spec.service_cidr
    shortest = cidr.max_prefixlen - SERVICE_RANGE_BITS
    if cidr.prefixlen >= shortest:
        return []
    what = f"serviceCIDR {cidr} is too large"
    return [Problem(what, f"/{shortest} or longer is allowed", "give a smaller range", ("serviceCIDR",))]


def _capacity_problems(spec: ClusterSpec) -> list[Problem]:
    count, room = len(spec.nodes), spec.topology.node_cidr.num_addresses - 2
    problems = []
    if count > room:
        what = f"nodeCIDR {spec.topology.node_cidr} holds {max(room, 0)} nodes, and there are {count}"
        problems.append(Problem(what, "", "give a larger range", ("topology", "nodeCIDR")))
    if spec.node_pod_prefix < spec.pod_cidr.prefixlen:
        what = f"a block of /{spec.node_pod_prefix} does not fit into podCIDR {spec.pod_cidr}"
        return [*problems, Problem(what, "", "give a longer prefix, or a larger podCIDR", ("nodePodPrefix",))]
    blocks = 2 ** (spec.node_pod_prefix - spec.pod_cidr.prefixlen)
    if count > blocks:
        held = f"{blocks} blocks of /{spec.node_pod_prefix}"
        what = f"podCIDR {spec.pod_cidr} holds {held}, too few for {count} nodes"
        problems.append(
            Problem(
                what, "one block a node", "give a larger podCIDR, or a longer nodePodPrefix", ("podCIDR",)
            )
        )
    return problems


def _mtu_problems(network: NetworkSpec, topology: TopologySpec) -> list[Problem]:
    if network.mtu == "auto":
        return []
    encapsulation = network.carrier.encapsulation
    overhead = OVERHEAD_BYTES[encapsulation]
    most = topology.mtu - overhead
    if SMALLEST_MTU <= network.mtu <= most or network.mtu == most:
        return []
    what = f"an MTU of {network.mtu} does not fit"
    room = f"the underlay's {topology.mtu} less {overhead} for {encapsulation}"
    allowed = f"{min(SMALLEST_MTU, most)} to {most} ({room})"
    return [Problem(what, allowed, "write auto", ("network", "mtu"))]


def _proxy_problems(spec: ClusterSpec) -> list[Problem]:
    plugin, mode = spec.network.plugin, spec.service_proxy.mode
    allowed = NETWORK_PLUGINS[plugin].service_proxies
    if mode in allowed:
        return []
    what = f"service proxy {mode} does not work with network plugin {plugin}"
    return [Problem(what, f"allowed: {', '.join(allowed)}", "", ("serviceProxy", "mode"))]


def _plugin_size_problems(spec: ClusterSpec) -> list[Problem]:
    most = NETWORK_PLUGINS[spec.network.plugin].most_nodes
    if most is None or len(spec.nodes) <= most:
        return []
    what = f"network plugin {spec.network.plugin} does not join nodes, and there are {len(spec.nodes)}"
    return [Problem(what, f"at most {most} is allowed", "use fewer nodes, or another plugin", ("nodes",))]


class Cluster(SpecModel):
    """A file of kind: Cluster."""

    api_version: Text
    kind: Literal["Cluster"]
    metadata: OwnMeta = Field(default_factory=OwnMeta)
    description: Text = ""
    spec: ClusterSpec = Field(default_factory=ClusterSpec)
