"""Services as kube-proxy's iptables mode programs them, chain for chain and rule for rule. Pure.

KUBE-SERVICES (nat) picks the Service's port, its KUBE-SVC- chain an endpoint at random, the endpoint's
KUBE-SEP- chain translates the destination. What must leave with the node's address is marked on its way
and masqueraded in KUBE-POSTROUTING. A port without endpoints is rejected by KUBE-SERVICES of the filter
table. Only IPv4 is rendered: addresses of Services that are IPv6 are passed over.

Texts and order are those of kubernetes/kubernetes, pkg/proxy/iptables/proxier.go (about v1.30 to v1.33)
with default settings, except that Services stand in order of their names and not of a Go map, and that
comments stay above 1,000 endpoints and nothing counts by nfacct. IP forwarding and the routes between Pods
are the network plugin's business.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.dataplanes.iptables import IptablesChain, IptablesRule, probability
from testbed.dataplanes.linux import Sysctl
from testbed.dataplanes.program import ProgramObject
from testbed.dataplanes.proxy.kube_proxy_names import (
    endpoint_chain,
    endpoint_name,
    service_chain,
    service_port_name,
)
from testbed.intent import Backend, IntentObject, NodeIdentity, ServiceForward, ServicePortForward

SERVICES = "KUBE-SERVICES"
NODEPORTS = "KUBE-NODEPORTS"
MARK_MASQ = "KUBE-MARK-MASQ"
POSTROUTING = "KUBE-POSTROUTING"
FORWARD = "KUBE-FORWARD"
EXTERNAL_SERVICES = "KUBE-EXTERNAL-SERVICES"
PROXY_FIREWALL = "KUBE-PROXY-FIREWALL"
FIREWALL = "KUBE-FIREWALL"
CANARY = "KUBE-PROXY-CANARY"

MARK = "0x4000"
"""The bit of a packet's mark that says: masquerade. It is cleared before the packet leaves the node."""
MARK_AND_MASK = f"{MARK}/{MARK}"

FIRST_JUMP_RANK = -100
"""kube-proxy puts its jumps at the head of the built-in chains: they come before others' rules."""
LAST_RANK = 100
"""Rank of the rule that must stand behind all Services' rules."""

_NEW = "-m conntrack --ctstate NEW "
_JUMPS = (
    ("nat", "PREROUTING", "", "kubernetes service portals", SERVICES),
    ("nat", "OUTPUT", "", "kubernetes service portals", SERVICES),
    ("nat", "POSTROUTING", "", "kubernetes postrouting rules", POSTROUTING),
    ("filter", "INPUT", _NEW, "kubernetes load balancer firewall", PROXY_FIREWALL),
    ("filter", "INPUT", "", "kubernetes health check service ports", NODEPORTS),
    ("filter", "INPUT", _NEW, "kubernetes externally-visible service portals", EXTERNAL_SERVICES),
    ("filter", "FORWARD", _NEW, "kubernetes load balancer firewall", PROXY_FIREWALL),
    ("filter", "FORWARD", "", "kubernetes forwarding rules", FORWARD),
    ("filter", "FORWARD", _NEW, "kubernetes service portals", SERVICES),
    ("filter", "FORWARD", _NEW, "kubernetes externally-visible service portals", EXTERNAL_SERVICES),
    ("filter", "OUTPUT", _NEW, "kubernetes load balancer firewall", PROXY_FIREWALL),
    ("filter", "OUTPUT", _NEW, "kubernetes service portals", SERVICES),
    ("filter", "INPUT", "", "", FIREWALL),
    ("filter", "OUTPUT", "", "", FIREWALL),
)
"""Table, built-in chain, match, comment and target of each jump, in the order within each chain."""

_CHAINS = (
    IptablesChain("nat", SERVICES),
    IptablesChain("nat", NODEPORTS),
    IptablesChain(
        "nat",
        POSTROUTING,
        (
            f"-m mark ! --mark {MARK_AND_MASK} -j RETURN",
            f"-j MARK --set-xmark {MARK}/0x0",  # --xor-mark: a packet that comes by again is judged anew
            '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
        ),
    ),
    IptablesChain("nat", MARK_MASQ, (f"-j MARK --set-xmark {MARK_AND_MASK}",)),
    IptablesChain("filter", SERVICES),
    IptablesChain("filter", EXTERNAL_SERVICES),
    IptablesChain(
        "filter",
        FORWARD,
        (
            "-m conntrack --ctstate INVALID -j DROP",
            f'-m comment --comment "kubernetes forwarding rules" -m mark --mark {MARK_AND_MASK} -j ACCEPT',
            '-m comment --comment "kubernetes forwarding conntrack rule"'
            " -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        ),
    ),
    IptablesChain("filter", NODEPORTS),
    IptablesChain("filter", PROXY_FIREWALL),
    IptablesChain(
        "filter",
        FIREWALL,
        (
            "! -s 127.0.0.0/8 -d 127.0.0.0/8"
            ' -m comment --comment "block incoming localnet connections"'
            " -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
        ),
    ),
    *(IptablesChain(table, CANARY) for table in ("mangle", "nat", "filter")),
)

_NODEPORTS_RULE = IptablesRule(
    "nat",
    SERVICES,
    '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"'
    f" -m addrtype --dst-type LOCAL -j {NODEPORTS}",
    LAST_RANK,
)

_SYSCTLS = (
    # Pods that hang on one Linux bridge reach Services only if iptables sees what the bridge forwards.
    Sysctl("net/bridge/bridge-nf-call-iptables", "1"),
    # Node ports answer on 127.0.0.1 too (iptables.localhostNodePorts); KUBE-FIREWALL guards what this opens.
    Sysctl("net/ipv4/conf/all/route_localnet", "1"),
)


def render_node(_node: NodeIdentity) -> tuple[ProgramObject, ...]:
    """Return what a node has whatever its Services are: the frame that Services' chains hang in."""
    return (*_SYSCTLS, *_CHAINS, *_jumps(), _NODEPORTS_RULE)


def render_object(node: NodeIdentity, thing: IntentObject) -> tuple[ProgramObject, ...]:
    """Return a Service's chains, and its rules in the chains that Services share; nothing for others."""
    if not isinstance(thing, ServiceForward):
        return ()
    return tuple(
        each
        for port in thing.ports
        if port.address.version == 4
        for each in _port(node, service_port_name(thing, port), port)
    )


def _jumps() -> tuple[IptablesRule, ...]:
    rules = []
    for place, (table, chain, match, text, target) in enumerate(_JUMPS):
        comment = f'-m comment --comment "{text}" ' if text else ""
        rules.append(IptablesRule(table, chain, f"{match}{comment}-j {target}", FIRST_JUMP_RANK + place))
    return tuple(rules)


def _port(node: NodeIdentity, name: str, port: ServicePortForward) -> tuple[ProgramObject, ...]:
    if not port.backends:
        destined = _destined(port, f"{name} has no endpoints")
        reject = f"{destined} -j REJECT --reject-with icmp-port-unreachable"
        return (IptablesRule("filter", SERVICES, reject, place=name),)
    chain = service_chain(name, port.protocol)
    destined = _destined(port, f"{name} cluster IP")
    # kube-proxy orders endpoints by text, not by number.
    backends = sorted(port.backends, key=endpoint_name)
    return (
        IptablesRule("nat", SERVICES, f"{destined} -j {chain}", place=name),
        IptablesChain("nat", chain, (*_off_cluster(node, destined), *_spread(name, port, backends))),
        *(_endpoint(name, port, backend) for backend in backends),
    )


def _destined(port: ServicePortForward, comment: str) -> str:
    """Return the match of packets to a Service's port."""
    protocol = port.protocol.lower()
    to_address = f"-d {port.address}/32 -p {protocol}"
    return f'{to_address} -m comment --comment "{comment}" -m {protocol} --dport {port.port}'


def _off_cluster(node: NodeIdentity, destined: str) -> tuple[str, ...]:
    """Masquerade who is no Pod: the endpoint's node would answer it directly, past this node."""
    networks = [network for network in node.cluster_pod_cidrs if network.version == 4]
    return tuple(f"! -s {network} {destined} -j {MARK_MASQ}" for network in networks[:1])


def _spread(name: str, port: ServicePortForward, backends: Sequence[Backend]) -> tuple[str, ...]:
    """Return a rule an endpoint: each takes an equal share of what is left, the last takes all of it."""
    rules = []
    for left, endpoint in zip(range(len(backends), 0, -1), map(endpoint_name, backends), strict=True):
        # kube-proxy writes the share with ten digits; the kernel rounds that.
        share = probability(round(1 / left, 10))
        chance = f"-m statistic --mode random --probability {share} " if left > 1 else ""
        chain = endpoint_chain(name, port.protocol, endpoint)
        rules.append(f'-m comment --comment "{name} -> {endpoint}" {chance}-j {chain}')
    return tuple(rules)


def _endpoint(name: str, port: ServicePortForward, backend: Backend) -> IptablesChain:
    """Return an endpoint's chain. A Pod that meets itself is masqueraded, or it would answer itself."""
    protocol, endpoint = port.protocol.lower(), endpoint_name(backend)
    comment = f'-m comment --comment "{name}"'
    rules = (
        f"-s {backend.address}/32 {comment} -j {MARK_MASQ}",
        f"-p {protocol} {comment} -m {protocol} -j DNAT --to-destination {endpoint}",
    )
    return IptablesChain("nat", endpoint_chain(name, port.protocol, endpoint), rules)
