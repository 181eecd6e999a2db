"""Services as kube-proxy's nftables mode serves them (v1.31 and later): table `ip kube-proxy`.

Table, sets, maps, chains, names and rules are kube-proxy's own (kubernetes/kubernetes,
pkg/proxy/nftables/proxier.go). A ClusterIP's port is found in the map service-ips, whose verdict goes to the
port's chain; that picks an endpoint's chain at random, which translates the destination. Connections that
the node's own address must stand for (hairpin, sources outside the cluster) are marked on the way and
masqueraded after routing.

Renders IPv4 alone: kube-proxy keeps another table, `ip6 kube-proxy`, which nothing here needs yet. Pure.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Sequence
from ipaddress import IPv4Network, collapse_addresses

from testbed.dataplanes.linux import Sysctl
from testbed.dataplanes.nftables import NftChain, NftElement, NftSet, NftTable
from testbed.dataplanes.program import ProgramObject
from testbed.dataplanes.proxy.kube_proxy_names import service_port_name
from testbed.inet import IPNetworks
from testbed.intent import Backend, IntentObject, NodeIdentity, ServiceForward, ServicePortForward

TABLE = "ip kube-proxy"
_LONGEST_NAME_BASE = 240
"""Characters of a chain's name after its prefix: NFT_NAME_MAXLEN, 256, less 16 for the prefix."""
_PORT_OF_SERVICE = "ipv4_addr . inet_proto . inet_service"
_PORT_OF_NODE = "inet_proto . inet_service"


def render_node(node: NodeIdentity) -> tuple[ProgramObject, ...]:
    """Return what kube-proxy sets up before it knows of any Service.

    Pods on a Linux bridge reach each other without the ip hooks unless the sysctl sends them there: a
    connection to a Service whose endpoint is on the client's node would come back untranslated.
    """
    return (
        Sysctl("net/bridge/bridge-nf-call-iptables", "1"),
        NftTable(TABLE, "rules for kube-proxy"),
        *_SETS,
        *_BASE_CHAINS,
        *_CHAINS,
        NftChain(TABLE, "cluster-ips-check", _cluster_ips_check(node)),
        *([NftElement(TABLE, "nodeport-ips", str(node.address))] if node.address.version == 4 else ()),
    )


def render_object(node: NodeIdentity, thing: IntentObject) -> tuple[ProgramObject, ...]:
    """Return a Service's chains and elements."""
    if not isinstance(thing, ServiceForward):
        return ()
    addresses = [address for address in thing.addresses if address.version == 4]
    return (
        *(NftElement(TABLE, "cluster-ips", str(address)) for address in addresses),
        *(
            made
            for port in thing.ports
            if port.address.version == 4
            for made in _service_port(node, thing, port)
        ),
    )


def chain_name_base(name: str) -> str:
    """Return a name behind 8 base32 digits of its SHA-256, cut to what an nftables name may hold.

    Args:
        name: "namespace/service/protocol/port", followed by "__address/port" for an endpoint; an unnamed
            port is empty, and a colon of an IPv6 address is a dot.
    """
    digits = b32encode(hashlib.sha256(name.encode()).digest()).decode()[:8]
    base = f"{digits}-{name}"
    return base if len(base) <= _LONGEST_NAME_BASE else f"{base[: _LONGEST_NAME_BASE - 3]}..."


def _service_port(
    node: NodeIdentity, service: ServiceForward, port: ServicePortForward
) -> tuple[NftChain | NftElement, ...]:
    protocol = port.protocol.lower()
    destination = f"{port.address} . {protocol} . {port.port}"
    name = f"{service.namespace}/{service.name}/{protocol}/{port.name}"
    if not port.backends:
        port_name = service_port_name(service, port)
        return (NftElement(TABLE, "no-endpoint-services", destination, "goto reject-chain", port_name),)
    endpoints = [_endpoint_chain(name, protocol, backend) for backend in port.backends]
    chain = f"service-{chain_name_base(name)}"
    rules = (*_off_cluster_sources(node, port), _choice(endpoints))
    return (
        *endpoints,
        NftChain(TABLE, chain, rules),
        NftElement(TABLE, "service-ips", destination, f"goto {chain}"),
    )


def _off_cluster_sources(node: NodeIdentity, port: ServicePortForward) -> tuple[str, ...]:
    """Masquerade sources outside the cluster: their answers would not pass this node otherwise."""
    pods = _ipv4(node.cluster_pod_cidrs)
    matched = pods[0] if len(pods) == 1 else f"{{ {', '.join(pods)} }}"
    return (f"ip daddr {port.address} ip saddr != {matched} jump mark-for-masquerade",) if pods else ()


def _choice(endpoints: Sequence[NftChain]) -> str:
    verdicts = " , ".join(f"{number} : goto {chain.name}" for number, chain in enumerate(endpoints))
    return f"numgen random mod {len(endpoints)} vmap {{ {verdicts} }}"


def _endpoint_chain(port: str, protocol: str, backend: Backend) -> NftChain:
    """Return the chain of one endpoint of a Service's port, given as `namespace/name/protocol/port`."""
    address = str(backend.address)
    name = f"{port}__{address.replace(':', '.')}/{backend.port}"
    rules = (
        f"ip saddr {address} jump mark-for-masquerade",  # hairpin
        f"meta l4proto {protocol} dnat to {address}:{backend.port}",
    )
    return NftChain(TABLE, f"endpoint-{chain_name_base(name)}", rules)


def _cluster_ips_check(node: NodeIdentity) -> tuple[str, ...]:
    """Reject what is left for a ClusterIP: no port of it matched. Drop what is for none that exists."""
    reject = 'ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"'
    services = _ipv4(node.service_cidrs)
    drop = f'ip daddr {{ {", ".join(services)} }} drop comment "Drop traffic to unallocated ClusterIPs"'
    return (reject, drop) if services else (reject,)


def _ipv4(networks: IPNetworks) -> list[str]:
    """Return the IPv4 networks, those that adjoin as one: nft merges them in a set without a name."""
    own = (network for network in networks if isinstance(network, IPv4Network))
    return [str(network) for network in collapse_addresses(own)]


_SETS = (
    NftSet(TABLE, "cluster-ips", "ipv4_addr", comment="Active ClusterIPs"),
    NftSet(TABLE, "nodeport-ips", "ipv4_addr", comment="IPs that accept NodePort traffic"),
    *(
        NftSet(TABLE, name, key, is_map=True, comment=comment)
        for name, key, comment in (
            ("firewall-ips", _PORT_OF_SERVICE, "destinations that are subject to LoadBalancerSourceRanges"),
            (
                "no-endpoint-nodeports",
                _PORT_OF_NODE,
                "vmap to drop or reject packets to service nodeports with no endpoints",
            ),
            (
                "no-endpoint-services",
                _PORT_OF_SERVICE,
                "vmap to drop or reject packets to services with no endpoints",
            ),
            ("service-ips", _PORT_OF_SERVICE, "ClusterIP, ExternalIP and LoadBalancer IP traffic"),
            ("service-nodeports", _PORT_OF_NODE, "NodePort traffic"),
        )
    ),
)

_BASE_CHAINS = tuple(
    NftChain(TABLE, name, rules, f"type {kind} hook {hook} priority {priority}")
    for name, kind, hook, priority, rules in (
        ("filter-prerouting-pre-dnat", "filter", "prerouting", -110, ("ct state new jump firewall-check",)),
        ("filter-output-pre-dnat", "filter", "output", -110, ("ct state new jump firewall-check",)),
        (
            "filter-forward",
            "filter",
            "forward",
            0,
            ("ct state new jump service-endpoints-check", "ct state new jump cluster-ips-check"),
        ),
        (
            "filter-input",
            "filter",
            "input",
            0,
            ("ct state new jump nodeport-endpoints-check", "ct state new jump service-endpoints-check"),
        ),
        (
            "filter-output",
            "filter",
            "output",
            0,
            ("ct state new jump service-endpoints-check", "ct state new jump cluster-ips-check"),
        ),
        ("nat-prerouting", "nat", "prerouting", -100, ("jump services",)),
        ("nat-output", "nat", "output", -100, ("jump services",)),
        ("nat-postrouting", "nat", "postrouting", 100, ("jump masquerading",)),
    )
)
"""Chains that hooks call. Two filter chains come before the translation, at -110 against its -100."""

_CHAINS = (
    NftChain(TABLE, "firewall-check", ("ip daddr . meta l4proto . th dport vmap @firewall-ips",)),
    NftChain(TABLE, "mark-for-masquerade", ("mark set mark or 0x4000",)),
    NftChain(
        TABLE,
        "masquerading",
        ("mark and 0x4000 == 0 return", "mark set mark xor 0x4000", "masquerade fully-random"),
    ),
    NftChain(
        TABLE,
        "nodeport-endpoints-check",
        ("ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports",),
    ),
    NftChain(
        TABLE,
        "reject-chain",
        ("reject",),
        comment="helper for @no-endpoint-services / @no-endpoint-nodeports",
    ),
    NftChain(
        TABLE,
        "services",
        (
            "ip daddr . meta l4proto . th dport vmap @service-ips",
            "ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports",
        ),
    ),
    NftChain(
        TABLE,
        "service-endpoints-check",
        ("ip daddr . meta l4proto . th dport vmap @no-endpoint-services",),
    ),
)
