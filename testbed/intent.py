"""What one node must achieve, in networking terms, whatever mechanism achieves it.

Sits between the cluster (what Kubernetes decided) and the dataplanes (which kernel or switch state does
it). An intent is a set of objects, each kept under the key of the Kubernetes object it comes from. Objects
that are the same on every node are *shared*, so that a dataplane can render, serialise and send them once.
Everything is plain data; `intent_wire` gives it a JSON form, because the OpenFlow controller is another
process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from testbed.inet import IPAddress, IPAddresses, IPNetworks, MacAddress, Protocol


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """The node a set of objects is for.

    `address` is the node's InternalIP on the underlay and `mac` the MAC of its uplink. `gateway_addresses`
    are the first addresses of its podCIDRs, held by the node itself; Pods route through them. `uplink` is
    the node's interface on the underlay and `gateway` its router there, None where all share a segment.
    `encapsulation` wraps packets to peers; with `direct_routing`, only those beyond the node's own segment.
    """

    name: str
    index: int
    address: IPAddress
    mac: MacAddress
    pod_cidrs: IPNetworks
    gateway_addresses: IPAddresses
    cluster_pod_cidrs: IPNetworks
    service_cidrs: IPNetworks
    encapsulation: str
    mtu_bytes: int
    uplink: str = ""
    prefix_length: int = 0
    gateway: IPAddress | None = None
    underlay_mtu_bytes: int = 1500
    direct_routing: bool = False


@dataclass(frozen=True, slots=True)
class PodAttachment:
    """A Pod of this node: its addresses, its MAC, and the switch port or link it hangs on.

    `port` numbers the Pod's attachment on its node, from 1; it is free again when the Pod is gone.
    """

    namespace: str
    name: str
    addresses: IPAddresses
    mac: MacAddress
    interface: str
    port: int

    @property
    def key(self) -> str:
        return f"Pod/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class PeerNode:
    """Another node: where its Pods are, and the MAC of the next hop towards it on the underlay.

    `shares_segment` says whether that next hop is the peer itself.
    """

    name: str
    index: int
    address: IPAddress
    pod_cidrs: IPNetworks
    next_hop_mac: MacAddress
    shares_segment: bool = True

    @property
    def key(self) -> str:
        return f"Node/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Backend:
    """An endpoint that a Service's connections may be sent to."""

    address: IPAddress
    port: int


@dataclass(frozen=True, slots=True)
class ServicePortForward:
    """One (address, protocol, port) of a Service and the backends it spreads new connections over.

    `slot` numbers the forward within its Service, for mechanisms that need a number (OpenFlow groups);
    `name` is the name of the Service's port, for those that need one, and may be empty.
    """

    address: IPAddress
    protocol: Protocol
    port: int
    slot: int
    backends: tuple[Backend, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class ServiceForward:
    """A Service with cluster addresses: all its forwards. `number` is unique among the cluster's Services.

    `number` is the offset of the primary ClusterIP in its serviceCIDR: it depends on the Service alone.
    """

    namespace: str
    name: str
    number: int
    addresses: IPAddresses
    ports: tuple[ServicePortForward, ...]

    @property
    def key(self) -> str:
        return f"Service/{self.namespace}/{self.name}"


IntentObject = PodAttachment | PeerNode | ServiceForward


@dataclass(frozen=True, slots=True)
class NodeIntent:
    """Everything one node must achieve. `objects` is keyed by each object's `key`."""

    node: NodeIdentity
    objects: Mapping[str, IntentObject] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClusterIntent:
    """The intents of all nodes, with what they share kept once.

    `local` maps a node's name to the objects that are for it alone.
    """

    nodes: Mapping[str, NodeIdentity]
    shared: Mapping[str, IntentObject]
    local: Mapping[str, Mapping[str, IntentObject]]

    def for_node(self, name: str) -> NodeIntent:
        """Return one node's whole intent.

        Raises:
            KeyError: no such node.
        """
        return NodeIntent(self.nodes[name], {**self.shared, **self.local[name]})
