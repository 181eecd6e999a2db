"""kube-proxy's iptables mode: names and rules of Services, against what iptables-save shows on real nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from testbed.dataplanes.iptables import IptablesChain, IptablesRule, probability
from testbed.dataplanes.linux import Sysctl
from testbed.dataplanes.program import ProgramObject
from testbed.dataplanes.proxy.iptables import render_node, render_object
from testbed.dataplanes.proxy.kube_proxy_names import endpoint_chain, service_chain
from testbed.drivers.iptables_text import layout
from testbed.inet import MacAddress, Protocol
from testbed.intent import Backend, NodeIdentity, PodAttachment, ServiceForward, ServicePortForward

NODE = NodeIdentity(
    name="node1",
    index=1,
    address=ip_address("192.168.0.11"),
    mac=MacAddress("02:01:00:00:00:01"),
    pod_cidrs=(ip_network("10.244.1.0/24"),),
    gateway_addresses=(ip_address("10.244.1.1"),),
    cluster_pod_cidrs=(ip_network("fd00:10:244::/56"), ip_network("10.244.0.0/16")),
    service_cidrs=(ip_network("10.96.0.0/12"),),
    encapsulation="vxlan",
    mtu_bytes=1450,
)


def port(
    number: int,
    *backends: str,
    name: str = "",
    protocol: Protocol = Protocol.TCP,
    address: str = "10.20.30.41",
) -> ServicePortForward:
    """A Service's port, with backends as "address:port"."""
    pairs = [backend.split(":") for backend in backends]
    return ServicePortForward(
        ip_address(address),
        protocol,
        number,
        0,
        tuple(Backend(ip_address(host), int(its)) for host, its in pairs),
        name,
    )


def service(name: str, *ports: ServicePortForward) -> ServiceForward:
    """A Service, as "namespace/name"."""
    namespace, own = name.split("/")
    return ServiceForward(namespace, own, 1, tuple({each.address for each in ports}), ports)


def lines(objects: Sequence[ProgramObject]) -> list[str]:
    """Objects as the lines of iptables-save: chains and rules, "table: " in front, in the objects' order."""
    found = []
    for thing in objects:
        if isinstance(thing, IptablesChain):
            found.append(f"{thing.table}: :{thing.name}")
            found += [f"{thing.table}: -A {thing.name} {rule}" for rule in thing.rules]
        elif isinstance(thing, IptablesRule):
            found.append(f"{thing.table}: -A {thing.chain} {thing.rule}")
    return found


@pytest.mark.parametrize(
    ("name", "protocol", "chain"),
    [
        ("default/kubernetes:https", Protocol.TCP, "KUBE-SVC-NPX46M4PTMTKRN6Y"),
        ("kube-system/kube-dns:dns", Protocol.UDP, "KUBE-SVC-TCOU7JCQXEZGVUNU"),
        ("kube-system/kube-dns:dns-tcp", Protocol.TCP, "KUBE-SVC-ERIFXISQEP7F7OF4"),
        ("my-namespace/my-app", Protocol.TCP, "KUBE-SVC-HLZB4VDDFP2JZATZ"),
        ("ns1/svc1:p80", Protocol.TCP, "KUBE-SVC-XPGD46QRK7WJZT7O"),
    ],
)
def test_a_services_chain_is_named_as_on_real_nodes(name: str, protocol: Protocol, chain: str) -> None:
    assert service_chain(name, protocol) == chain


@pytest.mark.parametrize(
    ("name", "protocol", "endpoint", "chain"),
    [
        ("ns1/svc1:p80", Protocol.TCP, "10.180.0.1:80", "KUBE-SEP-SXIVWICOYRO3J4NJ"),
        ("kube-system/kube-dns:dns", Protocol.UDP, "172.31.12.149:53", "KUBE-SEP-ENNOY5MC2KBLEIWJ"),
        ("my-namespace/my-app", Protocol.TCP, "172.31.9.169:80", "KUBE-SEP-AGFPHYEWW47W3NWH"),
    ],
)
def test_an_endpoints_chain_is_named_as_on_real_nodes(
    name: str, protocol: Protocol, endpoint: str, chain: str
) -> None:
    assert endpoint_chain(name, protocol, endpoint) == chain


@pytest.mark.parametrize(
    ("share", "printed"),
    [
        (1 / 2, "0.50000000000"),
        (1 / 3, "0.33333333349"),
        (1 / 4, "0.25000000000"),
        (0.0227272727, "0.02272727247"),
    ],
)
def test_a_probability_is_a_multiple_of_the_kernels_unit(share: float, printed: str) -> None:
    assert probability(share) == printed
    assert probability(float(printed)) == printed


def test_a_service_without_endpoints_is_rejected() -> None:
    assert lines(render_object(NODE, service("ns1/svc1", port(80, name="p80")))) == [
        "filter: -A KUBE-SERVICES -d 10.20.30.41/32 -p tcp"
        ' -m comment --comment "ns1/svc1:p80 has no endpoints"'
        " -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable",
    ]


def test_a_service_with_one_endpoint() -> None:
    assert lines(render_object(NODE, service("ns1/svc1", port(80, "10.180.0.1:80", name="p80")))) == [
        'nat: -A KUBE-SERVICES -d 10.20.30.41/32 -p tcp -m comment --comment "ns1/svc1:p80 cluster IP"'
        " -m tcp --dport 80 -j KUBE-SVC-XPGD46QRK7WJZT7O",
        "nat: :KUBE-SVC-XPGD46QRK7WJZT7O",
        "nat: -A KUBE-SVC-XPGD46QRK7WJZT7O ! -s 10.244.0.0/16 -d 10.20.30.41/32 -p tcp"
        ' -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ',
        "nat: -A KUBE-SVC-XPGD46QRK7WJZT7O"
        ' -m comment --comment "ns1/svc1:p80 -> 10.180.0.1:80" -j KUBE-SEP-SXIVWICOYRO3J4NJ',
        "nat: :KUBE-SEP-SXIVWICOYRO3J4NJ",
        "nat: -A KUBE-SEP-SXIVWICOYRO3J4NJ"
        ' -s 10.180.0.1/32 -m comment --comment "ns1/svc1:p80" -j KUBE-MARK-MASQ',
        "nat: -A KUBE-SEP-SXIVWICOYRO3J4NJ"
        ' -p tcp -m comment --comment "ns1/svc1:p80" -m tcp -j DNAT --to-destination 10.180.0.1:80',
    ]


def test_three_endpoints_share_alike_and_stand_in_order_of_their_text() -> None:
    udp = port(53, "10.244.2.9:53", "10.244.1.7:53", "10.244.1.12:53", name="dns", protocol=Protocol.UDP)
    objects = render_object(NODE, service("kube-system/kube-dns", udp))
    (spread,) = (
        thing
        for thing in objects
        if isinstance(thing, IptablesChain) and thing.name == "KUBE-SVC-TCOU7JCQXEZGVUNU"
    )
    chains = {
        endpoint: endpoint_chain("kube-system/kube-dns:dns", Protocol.UDP, endpoint)
        for endpoint in ("10.244.1.12:53", "10.244.1.7:53", "10.244.2.9:53")
    }
    comment = '-m comment --comment "kube-system/kube-dns:dns -> '
    chance = "-m statistic --mode random --probability"
    assert spread.rules == (
        "! -s 10.244.0.0/16 -d 10.20.30.41/32 -p udp"
        ' -m comment --comment "kube-system/kube-dns:dns cluster IP" -m udp --dport 53 -j KUBE-MARK-MASQ',
        f'{comment}10.244.1.12:53" {chance} 0.33333333349 -j {chains["10.244.1.12:53"]}',
        f'{comment}10.244.1.7:53" {chance} 0.50000000000 -j {chains["10.244.1.7:53"]}',
        f'{comment}10.244.2.9:53" -j {chains["10.244.2.9:53"]}',
    )
    ends = [thing.name for thing in objects if isinstance(thing, IptablesChain) and thing is not spread]
    assert ends == list(chains.values())


def test_probabilities_are_those_of_kube_proxys_ten_digits() -> None:
    many = service("a/b", port(80, *(f"10.244.1.{number}:80" for number in range(1, 52))))
    spread = layout((*objects_of_node(), *mine(render_object(NODE, many))))[
        "nat", service_chain("a/b", Protocol.TCP)
    ]
    shares = [rule.split("--probability ")[1].split()[0] for rule in spread if "--probability" in rule]
    assert shares[0] == "0.01960784290"  # 1/51 itself would be printed as 0.01960784337
    assert shares[-1] == "0.50000000000"
    assert len(shares) == 50
    left = 1.0
    for share in shares:
        assert left * float(share) == pytest.approx(1 / 51, abs=1e-8)
        left *= 1 - float(share)


def test_every_port_and_protocol_has_chains_of_its_own() -> None:
    objects = render_object(
        NODE,
        service(
            "a/b",
            port(53, "10.244.1.2:53", name="dns", protocol=Protocol.UDP),
            port(53, "10.244.1.2:53", name="dns-tcp"),
            port(99, "10.244.1.2:99", name="sctp", protocol=Protocol.SCTP),
        ),
    )
    assert len({thing.key for thing in objects}) == len(objects) == 3 * 3
    sctp = [line for line in lines(objects) if "sctp" in line]
    assert any("-p sctp" in line and "-m sctp --dport 99" in line for line in sctp)
    assert any(line.endswith("-m sctp -j DNAT --to-destination 10.244.1.2:99") for line in sctp)


def test_ipv6_is_passed_over() -> None:
    objects = render_object(
        NODE, service("a/b", port(80, "10.244.1.2:80"), port(80, address="fd00::1", name="six"))
    )
    assert len(objects) == 3
    assert not any("fd00" in line for line in lines(objects))


def test_the_first_ipv4_pod_network_says_who_is_off_cluster() -> None:
    networks = (*NODE.cluster_pod_cidrs, ip_network("10.245.0.0/16"))
    web = service("a/b", port(80, "10.244.1.2:80"))
    assert render_object(replace(NODE, cluster_pod_cidrs=networks), web) == render_object(NODE, web)


def test_without_an_ipv4_pod_network_nobody_is_off_cluster() -> None:
    node = replace(NODE, cluster_pod_cidrs=(ip_network("fd00:10:244::/56"),))
    objects = render_object(node, service("a/b", port(80, "10.244.1.2:80")))
    assert not any("! -s" in line for line in lines(objects))


def test_a_pod_is_not_the_proxys_business() -> None:
    pod = PodAttachment("a", "b", (ip_address("10.244.1.2"),), MacAddress("0a:58:0a:f4:01:02"), "veth1", 1)
    assert render_object(NODE, pod) == ()


def test_services_stand_in_order_of_their_names_and_node_ports_last() -> None:
    names = ["b/a", "a/c", "a/b", "a/b-c"]
    services = [service(name, port(80, "10.244.1.2:80", name="http")) for name in names]
    rejected = [service(f"{name}-x", port(81, name="http")) for name in names]
    objects = [
        *render_node(NODE),
        *(each for one in (*services, *rejected) for each in render_object(NODE, one)),
    ]
    chains = layout(mine(objects))
    for table, text in (("nat", "cluster IP"), ("filter", "has no endpoints")):
        suffix = "" if table == "nat" else "-x"
        rules = chains[table, "KUBE-SERVICES"]
        assert [rule.split('"')[1] for rule in rules[:4]] == [
            f"{name} {text}" for name in sorted(f"{name}{suffix}:http" for name in names)
        ]
    assert chains["nat", "KUBE-SERVICES"][4:] == (
        '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"'
        " -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
    )
    assert len(chains["filter", "KUBE-SERVICES"]) == 4


def mine(objects: Sequence[ProgramObject]) -> tuple[IptablesChain | IptablesRule, ...]:
    return tuple(thing for thing in objects if isinstance(thing, IptablesChain | IptablesRule))


def objects_of_node() -> tuple[IptablesChain | IptablesRule, ...]:
    return mine(render_node(NODE))


def test_the_frame_is_a_real_nodes() -> None:
    shown = []
    for (table, chain), rules in sorted(layout(objects_of_node()).items()):
        shown.append(f"{table} {chain}")
        shown += [f"    {rule}" for rule in rules]
    assert "\n".join(shown) == FRAME.strip()


def test_bridged_pods_pass_iptables_and_localhost_reaches_node_ports() -> None:
    assert [thing.text() for thing in render_node(NODE) if isinstance(thing, Sysctl)] == [
        "sysctl net/bridge/bridge-nf-call-iptables=1",
        "sysctl net/ipv4/conf/all/route_localnet=1",
    ]


FRAME = """
filter FORWARD
    -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
    -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
    -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
    -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
filter INPUT
    -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
    -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
    -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
    -j KUBE-FIREWALL
filter KUBE-EXTERNAL-SERVICES
filter KUBE-FIREWALL
    ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
filter KUBE-FORWARD
    -m conntrack --ctstate INVALID -j DROP
    -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
    -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
filter KUBE-NODEPORTS
filter KUBE-PROXY-CANARY
filter KUBE-PROXY-FIREWALL
filter KUBE-SERVICES
filter OUTPUT
    -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
    -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
    -j KUBE-FIREWALL
mangle KUBE-PROXY-CANARY
nat KUBE-MARK-MASQ
    -j MARK --set-xmark 0x4000/0x4000
nat KUBE-NODEPORTS
nat KUBE-POSTROUTING
    -m mark ! --mark 0x4000/0x4000 -j RETURN
    -j MARK --set-xmark 0x4000/0x0
    -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
nat KUBE-PROXY-CANARY
nat KUBE-SERVICES
    -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
nat OUTPUT
    -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
nat POSTROUTING
    -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
nat PREROUTING
    -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
"""  # noqa: E501
"""As `iptables -S` shows it on a node of a real cluster, but for the kubelet's own chains."""
