"""Nodes and namespaces as the cluster has them before any Pod runs, and the network's resolved settings.

Owns the step from kind: Cluster (and Node and Namespace manifests) to NodeState, NetworkSettings and
namespace labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from testbed.cluster.ipam import node_blocks
from testbed.cluster.state import NetworkSettings, NodeState
from testbed.cluster.underlay import Underlay
from testbed.dataplanes.catalogue import NETWORK_PLUGINS
from testbed.errors import Finding, SpecError
from testbed.spec.cluster import OVERHEAD_BYTES, ClusterSpec
from testbed.spec.kubernetes import Namespace, Node

NO_PLUGIN_REASON = "NetworkPluginNotReady: cni plugin not initialized"
"""What the kubelet says then."""

IPV6_EXTRA_BYTES = 20
"""How much longer the outer header is where nodes have IPv6 addresses."""

INITIAL_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
"""Namespaces that every cluster starts with."""


def network_settings(cluster: ClusterSpec) -> NetworkSettings:
    """Return the network's settings with the MTU worked out.

    Raises:
        SpecError: the given MTU does not fit the underlay's with this encapsulation.
    """
    network, underlay_mtu = cluster.network, cluster.topology.mtu
    encapsulation = network.carrier.encapsulation
    fitting = underlay_mtu - _overhead_bytes(cluster)
    mtu = network.mtu if isinstance(network.mtu, int) else fitting
    if mtu > fitting:
        raise SpecError([_mtu_too_large(mtu, fitting, underlay_mtu, encapsulation)])
    return NetworkSettings(
        plugin=network.plugin,
        encapsulation=encapsulation,
        service_proxy=cluster.service_proxy.mode,
        pod_cidrs=(cluster.pod_cidr,),
        service_cidrs=(cluster.service_cidr,),
        underlay_mtu_bytes=underlay_mtu,
        mtu_bytes=mtu,
        datapath_type=network.datapath_type,
        carrier=network.carrier_name,
        direct_routing=network.direct_routing,
    )


def nodes_of(cluster: ClusterSpec, manifests: Iterable[Node], underlay: Underlay) -> Mapping[str, NodeState]:
    """Return the nodes by name, in the order of the cluster file.

    A Node manifest adds its labels to the node of its name and may make it unschedulable.

    Raises:
        CapacityError: podCIDR has no block for every node.
        SpecError: a Node manifest names no node of the cluster.
    """
    described = {node.metadata.name: node for node in manifests}
    unknown = sorted(described.keys() - underlay.nodes.keys())
    if unknown:
        raise SpecError([_unknown_node(name, list(underlay.nodes)) for name in unknown])
    blocks = node_blocks(cluster.pod_cidr, cluster.node_pod_prefix, len(cluster.nodes))
    is_ready = NETWORK_PLUGINS[cluster.network.plugin].is_installed
    nodes = {}
    for own, block in zip(cluster.nodes, blocks, strict=True):
        attachment, manifest = underlay.nodes[own.name], described.get(own.name)
        nodes[own.name] = NodeState(
            name=own.name,
            index=attachment.index,
            labels=_node_labels(own.name, own.labels, manifest),
            addresses=(attachment.address,),
            pod_cidrs=(block,),
            ready=is_ready,
            ready_reason="" if is_ready else NO_PLUGIN_REASON,
            unschedulable=manifest is not None and manifest.spec.unschedulable,
        )
    return nodes


def namespaces_of(manifests: Iterable[Namespace], used: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
    """Return the labels of every namespace, by name, sorted: initial ones, those declared and those in use.

    API rule: the API server gives each the label kubernetes.io/metadata.name with its name.
    """
    labels: dict[str, Mapping[str, str]] = {name: {} for name in (*INITIAL_NAMESPACES, *used)}
    labels |= {namespace.metadata.name: namespace.metadata.labels for namespace in manifests}
    return {
        name: dict(sorted({**own, "kubernetes.io/metadata.name": name}.items()))
        for name, own in sorted(labels.items())
    }


def _node_labels(name: str, own: Mapping[str, str], manifest: Node | None) -> Mapping[str, str]:
    """Return a node's labels.

    API rule (well-known labels): the kubelet sets hostname, os and arch; files may add and overrule.
    """
    well_known = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    }
    given = manifest.metadata.labels if manifest is not None else {}
    return dict(sorted({**well_known, **own, **given}.items()))


def _overhead_bytes(cluster: ClusterSpec) -> int:
    overhead = OVERHEAD_BYTES[cluster.network.carrier.encapsulation]
    is_ipv6 = cluster.topology.node_cidr.version == 6
    return overhead + (IPV6_EXTRA_BYTES if overhead and is_ipv6 else 0)


def _mtu_too_large(mtu: int, fitting: int, underlay_mtu: int, encapsulation: str) -> Finding:
    return Finding(
        file="cluster",
        line=0,
        column=0,
        path="spec.cluster.network.mtu",
        what=f"{mtu} does not fit the underlay's MTU of {underlay_mtu} with encapsulation {encapsulation}",
        allowed=f"at most {fitting}",
        fix="lower it, or use auto",
    )


def _unknown_node(name: str, nodes: list[str]) -> Finding:
    return Finding(
        file="manifests",
        line=0,
        column=0,
        path=f"Node/{name}",
        what="the cluster has no such node",
        allowed=f"its nodes are {', '.join(nodes)}",
        fix="name it in spec.cluster.nodes",
    )
