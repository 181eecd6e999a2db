"""kube-proxy's nftables mode: names, and rules of Services, against what kube-proxy's own tests expect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

from testbed.dataplanes.linux import Sysctl
from testbed.dataplanes.nftables import NftChain, NftElement, NftSet, NftTable
from testbed.dataplanes.program import ProgramObject
from testbed.dataplanes.proxy.nftables import chain_name_base, render_node, render_object
from testbed.inet import MacAddress, Protocol
from testbed.intent import Backend, NodeIdentity, PodAttachment, ServiceForward, ServicePortForward

NODE = NodeIdentity(
    name="node1",
    index=1,
    address=ip_address("192.168.0.2"),
    mac=MacAddress("02:01:00:00:00:01"),
    pod_cidrs=(ip_network("10.180.0.0/24"),),
    gateway_addresses=(ip_address("10.180.0.254"),),
    cluster_pod_cidrs=(ip_network("10.0.0.0/8"),),
    service_cidrs=(ip_network("172.30.0.0/16"),),
    encapsulation="vxlan",
    mtu_bytes=1450,
)
SVC1 = "service-ULMVA6XW-ns1/svc1/tcp/p80"
ENDPOINT1 = "endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80"


def service(
    *hosts: str, name: str = "p80", protocol: Protocol = Protocol.TCP, address: str = "172.30.0.41"
) -> ServiceForward:
    """Service ns1/svc1 with one port, 80, and endpoints on port 80 of these addresses."""
    backends = tuple(Backend(ip_address(host), 80) for host in hosts)
    vip = ip_address(address)
    port = ServicePortForward(vip, protocol, 80, 0, backends, name)
    return ServiceForward("ns1", "svc1", 41, (vip,), (port,))


def text_of(objects: Sequence[ProgramObject]) -> list[str]:
    return [line for thing in objects for line in thing.text().splitlines()]


class TestNames:
    def test_known_hashes(self) -> None:
        assert chain_name_base("ns1/svc1/tcp/p80") == "ULMVA6XW-ns1/svc1/tcp/p80"
        assert chain_name_base("ns1/svc1/tcp/p80__10.180.0.1/80").startswith("5OJB2KTY-")
        assert chain_name_base("ns2/svc2/tcp/p80").startswith("42NFTM6N-")
        assert chain_name_base("ns4/svc4/tcp/p80__10.180.0.5/80").startswith("5RFCDDV7-")

    def test_an_unnamed_port_is_empty(self) -> None:
        (chain,) = (each for each in chains_of(service("10.180.0.1", name="")) if "service-" in each.name)
        assert chain.name.endswith("-ns1/svc1/tcp/")

    def test_a_long_name_is_cut_and_keeps_its_hash(self) -> None:
        longest = "/".join(["n" * 63, "s" * 63, "sctp", "p" * 63])
        assert chain_name_base(longest).endswith("p" * 63), "names of ports are never cut"
        endpoint = f"{longest}__fd00.1111.2222.3333.4444.5555.6666.7777/65535"
        cut = chain_name_base(endpoint)
        assert (len(cut), cut[-3:]) == (240, "...")
        assert cut[9:-3] == endpoint[: 240 - 12]
        other = chain_name_base(endpoint.replace("7777/", "7778/"))
        assert (other[9:], other != cut) == (cut[9:], True), "the hash alone tells them apart"


def chains_of(thing: ServiceForward) -> list[NftChain]:
    return [each for each in render_object(NODE, thing) if isinstance(each, NftChain)]


class TestService:
    def test_one_endpoint(self) -> None:
        table = "ip kube-proxy"
        assert text_of(render_object(NODE, service("10.180.0.1"))) == [
            f"add element {table} cluster-ips {{ 172.30.0.41 }}",
            f"add chain {table} {ENDPOINT1}",
            f"add rule {table} {ENDPOINT1} ip saddr 10.180.0.1 jump mark-for-masquerade",
            f"add rule {table} {ENDPOINT1} meta l4proto tcp dnat to 10.180.0.1:80",
            f"add chain {table} {SVC1}",
            f"add rule {table} {SVC1} ip daddr 172.30.0.41 ip saddr != 10.0.0.0/8 jump mark-for-masquerade",
            f"add rule {table} {SVC1} numgen random mod 1 vmap {{ 0 : goto {ENDPOINT1} }}",
            f"add element {table} service-ips {{ 172.30.0.41 . tcp . 80 : goto {SVC1} }}",
        ]

    def test_three_endpoints(self) -> None:
        *endpoints, chain = chains_of(service("10.180.0.1", "10.180.0.2", "10.180.0.3"))
        assert [each.rules[1] for each in endpoints] == [
            f"meta l4proto tcp dnat to 10.180.0.{last}:80" for last in (1, 2, 3)
        ]
        one, two, three = (each.name for each in endpoints)
        vmap = f"{{ 0 : goto {one} , 1 : goto {two} , 2 : goto {three} }}"
        assert chain.rules[1] == f"numgen random mod 3 vmap {vmap}"

    def test_no_endpoint(self) -> None:
        assert text_of(render_object(NODE, service())) == [
            "add element ip kube-proxy cluster-ips { 172.30.0.41 }",
            "add element ip kube-proxy no-endpoint-services"
            ' { 172.30.0.41 . tcp . 80 comment "ns1/svc1:p80" : goto reject-chain }',
        ]

    def test_no_endpoint_of_an_unnamed_port(self) -> None:
        *_, element = render_object(NODE, service(name="", protocol=Protocol.SCTP))
        assert isinstance(element, NftElement)
        assert (element.value, element.comment) == ("172.30.0.41 . sctp . 80", "ns1/svc1")

    def test_protocols(self) -> None:
        for protocol in Protocol:
            *_, chain = chains_of(service("10.180.0.1", protocol=protocol))
            assert f"/{protocol.lower()}/" in chain.name
            endpoint, _ = chains_of(service("10.180.0.1", protocol=protocol))
            assert endpoint.rules[1] == f"meta l4proto {protocol.lower()} dnat to 10.180.0.1:80"

    def test_a_clusterip_is_active_once(self) -> None:
        one = service("10.180.0.1")
        other = replace(one.ports[0], port=81, slot=1, name="p81", backends=())
        objects = render_object(NODE, replace(one, ports=(*one.ports, other)))
        keys = [thing.key for thing in objects]
        assert len(keys) == len(set(keys))
        assert keys.count("nft element ip kube-proxy cluster-ips 172.30.0.41") == 1
        assert "nft element ip kube-proxy no-endpoint-services 172.30.0.41 . tcp . 81" in keys

    def test_ipv6_has_no_objects(self) -> None:
        assert render_object(NODE, service("fd00::1", address="fd00:10:96::1")) == ()

    def test_dual_stack_keeps_the_ipv4_half(self) -> None:
        one, six = service("10.180.0.1"), service("fd00::1", address="fd00:10:96::1")
        both = replace(one, addresses=(*one.addresses, *six.addresses), ports=(*one.ports, *six.ports))
        assert render_object(NODE, both) == render_object(NODE, one)

    def test_several_pod_cidrs(self) -> None:
        cidrs = ("10.128.0.0/9", "192.0.2.0/24", "10.0.0.0/9", "fd00::/48")
        node = replace(NODE, cluster_pod_cidrs=tuple(map(ip_network, cidrs)))
        _, chain, _ = (
            each for each in render_object(node, service("10.180.0.1")) if "cluster-ips" not in each.key
        )
        assert isinstance(chain, NftChain)
        assert "ip saddr != { 10.0.0.0/8, 192.0.2.0/24 } jump" in chain.rules[0]

    def test_other_objects_are_not_its_business(self) -> None:
        pod = PodAttachment(
            "ns1", "pod", (ip_address("10.180.0.1"),), MacAddress("02:00:00:00:00:01"), "veth", 1
        )
        assert render_object(NODE, pod) == ()


class TestNode:
    def test_bridged_pods_pass_the_ip_hooks(self) -> None:
        assert Sysctl("net/bridge/bridge-nf-call-iptables", "1") in render_node(NODE)

    def test_the_node_takes_nodeports(self) -> None:
        assert NftElement("ip kube-proxy", "nodeport-ips", "192.168.0.2") in render_node(NODE)

    def test_cluster_ips_check(self) -> None:
        (chain,) = (each for each in render_node(NODE) if each.key.endswith(" cluster-ips-check"))
        assert isinstance(chain, NftChain)
        assert chain.rules == (
            'ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"',
            'ip daddr { 172.30.0.0/16 } drop comment "Drop traffic to unallocated ClusterIPs"',
        )

    def test_hooks(self) -> None:
        hooks = {
            each.name: each.hook for each in render_node(NODE) if isinstance(each, NftChain) and each.hook
        }
        assert hooks == {
            "filter-prerouting-pre-dnat": "type filter hook prerouting priority -110",
            "filter-output-pre-dnat": "type filter hook output priority -110",
            "filter-forward": "type filter hook forward priority 0",
            "filter-input": "type filter hook input priority 0",
            "filter-output": "type filter hook output priority 0",
            "nat-prerouting": "type nat hook prerouting priority -100",
            "nat-output": "type nat hook output priority -100",
            "nat-postrouting": "type nat hook postrouting priority 100",
        }

    def test_everything_that_is_referred_to_is_there(self) -> None:
        objects = [*render_node(NODE), *render_object(NODE, service("10.180.0.1", "10.180.0.2"))]
        chains = {each.name: each for each in objects if isinstance(each, NftChain)}
        sets = {each.name for each in objects if isinstance(each, NftSet)}
        rules = [rule for chain in chains.values() for rule in chain.rules]
        verdicts = [each.verdict for each in objects if isinstance(each, NftElement)]
        targets = re.findall(r"(?:jump|goto) (\S+)", "\n".join([*rules, *verdicts]))
        assert set(targets) <= chains.keys()
        assert set(re.findall(r"@(\S+)", "\n".join(rules))) == sets
        reached = {*targets, *(name for name, chain in chains.items() if chain.hook)}
        assert chains.keys() - reached == {"reject-chain"}, "it is the verdict of Services without endpoints"

    def test_one_table(self) -> None:
        assert [each for each in render_node(NODE) if isinstance(each, NftTable)] == [
            NftTable("ip kube-proxy", "rules for kube-proxy")
        ]
