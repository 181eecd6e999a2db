"""What the control plane has decided, as values. Owns the types; `build.py` and its neighbours decide.

Everything is frozen. A change makes a new ClusterState that shares what did not change, so that identity
(`is`) tells at no cost which objects a change left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from testbed.cluster.ipam import AddressPool
from testbed.inet import IPAddress, IPAddresses, IPNetworks, Protocol


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """A Kubernetes object's identity. `namespace` is empty for kinds that have none."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.qualified_name}"

    @property
    def qualified_name(self) -> str:
        """`namespace/name`, or the name alone where the kind has no namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class PodPhase(StrEnum):
    """The phases a Pod of the testbed can be in."""

    PENDING = "Pending"
    RUNNING = "Running"


class ServiceType(StrEnum):
    """Service types of the Kubernetes API."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"
    EXTERNAL_NAME = "ExternalName"


@dataclass(frozen=True, slots=True)
class NodeState:
    """A Node. `index` counts from 1 in the order of the cluster file and fixes the node's podCIDRs."""

    name: str
    index: int
    labels: Mapping[str, str]
    addresses: IPAddresses
    pod_cidrs: IPNetworks
    ready: bool
    ready_reason: str = ""
    unschedulable: bool = False

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("Node", "", self.name)


@dataclass(frozen=True, slots=True, order=True)
class ContainerPort:
    """A port that a Pod answers on. `name` is empty where the manifest gives none."""

    port: int
    protocol: Protocol
    name: str = ""


@dataclass(frozen=True, slots=True)
class PodState:
    """A Pod. `node` is empty and `addresses` are none while it is Pending; `reason` then says why.

    `owner` is the controller (Deployment, ReplicaSet, DaemonSet, StatefulSet), None for a bare Pod.
    `image` is the first container's; it selects what runs in the Pod's namespace. `terminating` is a Pod
    with a deletionTimestamp: it still runs, and takes no new connections while another endpoint is ready.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    owner: ObjectKey | None
    image: str
    ports: tuple[ContainerPort, ...]
    node: str = ""
    addresses: IPAddresses = ()
    phase: PodPhase = PodPhase.PENDING
    ready: bool = False
    reason: str = ""
    terminating: bool = False

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("Pod", self.namespace, self.name)

    @property
    def qualified_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service. `target_port` is a number, or the name of a container port."""

    name: str
    protocol: Protocol
    port: int
    target_port: int | str
    node_port: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A Service. Headless and ExternalName ones have no `cluster_ips`; `selector` is None without one."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    type: ServiceType
    cluster_ips: IPAddresses
    ports: tuple[ServicePort, ...]
    selector: Mapping[str, str] | None
    publish_not_ready_addresses: bool = False

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("Service", self.namespace, self.name)

    @property
    def qualified_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class EndpointPort:
    """A port of an EndpointSlice: what `targetPort` came to for the endpoints of this slice."""

    name: str
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of a slice, with the conditions of discovery.k8s.io/v1; `target` is its Pod, if any."""

    addresses: IPAddresses
    ready: bool
    serving: bool
    terminating: bool
    node: str = ""
    target: ObjectKey | None = None


@dataclass(frozen=True, slots=True)
class EndpointSliceState:
    """An EndpointSlice: endpoints that share the same resolved ports."""

    namespace: str
    name: str
    service: str
    ports: tuple[EndpointPort, ...]
    endpoints: tuple[Endpoint, ...]

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("EndpointSlice", self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The cluster's addressing and dataplane, as resolved from kind: Cluster.

    `plugin` is "none" where no network plugin is installed. `carrier` is how it carries packets between
    nodes, in the plugin's own word, and `encapsulation` what that wraps them in. `mtu_bytes` is what a Pod's
    interface gets.
    """

    plugin: str
    encapsulation: str
    service_proxy: str
    pod_cidrs: IPNetworks
    service_cidrs: IPNetworks
    underlay_mtu_bytes: int
    mtu_bytes: int
    datapath_type: str = "auto"
    carrier: str = ""
    direct_routing: bool = False


SelectorTerm = tuple[str, str, str]
"""(namespace, label key, label value) of a Service's selector, under which the index keeps the Service."""


@dataclass(frozen=True, slots=True)
class ClusterIndex:
    """What makes a change cheap: no decisions, all of it follows from the rest of the ClusterState.

    Keys: `pools` and `pods_by_node` by node; `nodes_by_owner` by a Pod's owner, to the node of each of its
    running Pods; `services_by_term` by one term of the Services' selectors; `pods_by_address` and
    `services_by_address` by address. Values name objects by `namespace/name`.
    """

    pools: Mapping[str, tuple[AddressPool, ...]]
    pods_by_node: Mapping[str, frozenset[str]]
    nodes_by_owner: Mapping[ObjectKey, tuple[str, ...]]
    pods_by_address: Mapping[IPAddress, str]
    services_by_term: Mapping[SelectorTerm, tuple[str, ...]]
    services_by_address: Mapping[IPAddress, str]


@dataclass(frozen=True, slots=True)
class ClusterState:
    """Everything the control plane has decided.

    Keys: `nodes` by name; `namespaces` by name, to its labels; `pods` and `services` by `namespace/name`;
    `slices` by the `namespace/name` of their Service, sorted by slice name. The order of the mappings means
    nothing. `manual_slices` are those of `slices` that manifests give, which no selector rewrites.
    """

    network: NetworkSettings
    nodes: Mapping[str, NodeState]
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pods: Mapping[str, PodState] = field(default_factory=dict)
    services: Mapping[str, ServiceState] = field(default_factory=dict)
    slices: Mapping[str, tuple[EndpointSliceState, ...]] = field(default_factory=dict)
    manual_slices: Mapping[str, tuple[EndpointSliceState, ...]] = field(default_factory=dict)
    index: ClusterIndex | None = field(default=None, compare=False, repr=False)

    def pods_on(self, node: str) -> tuple[PodState, ...]:
        """Return the running Pods of a node, sorted by `namespace/name`."""
        if self.index is not None:
            return tuple(self.pods[name] for name in sorted(self.index.pods_by_node.get(node, ())))
        return tuple(
            pod for _, pod in sorted(self.pods.items()) if pod.node == node and pod.phase is PodPhase.RUNNING
        )

    def pod_at(self, address: IPAddress) -> PodState | None:
        """Return the Pod that holds an address, or None."""
        if self.index is not None:
            name = self.index.pods_by_address.get(address)
            return None if name is None else self.pods[name]
        return next((pod for pod in self.pods.values() if address in pod.addresses), None)
