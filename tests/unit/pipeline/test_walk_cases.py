"""Single packets through small clusters, followed table by table."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from small_clusters import CLIENT_PORT, Built, cluster_of, pod, service

from controllers.pipeline.connections import NO_CONNECTIONS, Connections
from controllers.pipeline.network import network_of
from controllers.pipeline.packet import (
    TCP_ACK,
    TCP_FIN,
    TCP_RST,
    TCP_SYN,
    arp_request,
    echo_request,
    number,
    port_unreachable,
    reply_to,
    transport_packet,
)
from controllers.pipeline.tables import HAIRPIN_ADDRESS, INTEGRATION_BRIDGE, VIRTUAL_ROUTER_MAC, Table
from controllers.pipeline.walk import Outcome, OutcomeKind, UnwalkableError, walk
from testbed.dataplanes.openflow import Flow, GotoTable, Output, SetField, match
from testbed.dataplanes.program import NodeProgram
from testbed.inet import Protocol, pod_mac

UNDERLAYS = [
    ("vxlan", "single"),
    ("geneve", "linear"),
    ("none", "single"),
    ("none", "tree"),
    ("none", "leaf-spine"),
    ("vxlan", "leaf-spine"),
]


def shop(encapsulation: str = "vxlan", topology: str = "single") -> Built:
    """Return client and near on node1, far on node2; Services near, far, both and empty."""
    return cluster_of(
        [
            pod("client", "client", "node1"),
            pod("near", "near", "node1"),
            pod("far", "far", "node2"),
            service("near", "near"),
            service("far", "far", [(80, "TCP", 8080), (53, "UDP", 5353)]),
            service("self", "client"),
            service("empty", "nobody", [(80, "TCP", 80), (53, "UDP", 53)]),
        ],
        encapsulation=encapsulation,
        topology=topology,
    )


def only(outcomes: tuple[Outcome, ...]) -> Outcome:
    assert len(outcomes) == 1
    return outcomes[0]


def delivered(outcomes: tuple[Outcome, ...], pod_name: str) -> Outcome:
    outcome = only(outcomes)
    assert (outcome.kind, outcome.pod) == (OutcomeKind.DELIVERED, f"default/{pod_name}"), outcome.reason
    return outcome


def tables_of(outcome: Outcome) -> list[int]:
    return [hop.table for hop in outcome.hops]


def answer(cluster: Built, outcome: Outcome) -> Outcome:
    """Let the receiving Pod answer, and walk the answer."""
    name = outcome.pod.removeprefix("default/")
    return only(cluster.walk(name, reply_to(outcome.packet), outcome.connections))


@pytest.mark.parametrize(("encapsulation", "topology"), UNDERLAYS)
@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
def test_pod_to_pod_and_back(encapsulation: str, topology: str, protocol: Protocol) -> None:
    cluster = shop(encapsulation, topology)
    for target in ("near", "far"):
        there = delivered(cluster.send("client", cluster.address(target), 8080, protocol), target)
        assert there.packet.source == (cluster.address("client"), CLIENT_PORT)
        assert there.packet.destination == (cluster.address(target), 8080)
        assert there.packet.fields["eth_dst"] == number(pod_mac(cluster.address(target)))
        back = answer(cluster, there)
        assert (back.kind, back.pod) == (OutcomeKind.DELIVERED, "default/client")
        assert back.packet.source == (cluster.address(target), 8080)


@pytest.mark.parametrize(("encapsulation", "topology"), UNDERLAYS)
@pytest.mark.parametrize(("name", "backend"), [("near", "near"), ("far", "far"), ("self", "client")])
def test_cluster_ip_and_back(encapsulation: str, topology: str, name: str, backend: str) -> None:
    cluster = shop(encapsulation, topology)
    address = cluster.cluster_ip(name)
    there = delivered(cluster.send("client", address, 80), backend)
    assert there.packet.destination == (cluster.address(backend), 8080)
    seen = cluster.address("client") if backend != "client" else ip_address(HAIRPIN_ADDRESS)
    assert there.packet.source == (seen, CLIENT_PORT)
    back = answer(cluster, there)
    assert (back.kind, back.pod) == (OutcomeKind.DELIVERED, "default/client")
    assert back.packet.source == (address, 80)
    assert back.packet.destination == (cluster.address("client"), CLIENT_PORT)
    further = transport_packet(
        Protocol.TCP, (cluster.address("client"), CLIENT_PORT), (address, 80), tcp_flags=TCP_ACK
    )
    again = delivered(cluster.walk("client", further, back.connections), backend)
    assert (again.packet.source, again.packet.destination) == (there.packet.source, there.packet.destination)
    assert Table.SERVICE not in tables_of(again)


def test_tables_of_a_first_packet() -> None:
    cluster = shop()
    there = only(cluster.send("client", cluster.cluster_ip("far"), 80))
    here = [hop.table for hop in there.hops if hop.node == "node1"]
    assert here == [0, 10, 20, 22, 30, 50, 70, 90]
    assert [hop.table for hop in there.hops if hop.node == "node2"] == [0, 20, 22, 30, 45, 50, 70, 90]
    assert there.hops[4].bucket is not None
    assert there.hops[4].packet.destination == (cluster.cluster_ip("far"), 80)


def test_hairpin_goes_back_out_of_its_own_port_under_another_address() -> None:
    cluster = shop()
    there = only(cluster.send("client", cluster.cluster_ip("self"), 80))
    assert tables_of(there) == [0, 10, 20, 22, 30, 50, 70, 90]
    assert there.hops[-1].flow is not None
    assert there.hops[-1].flow.actions == (Output("IN_PORT"),)
    assert tables_of(answer(cluster, there)) == [0, 10, 20, 21, 22, 50, 70, 90]


@pytest.mark.parametrize(("topology", "ttl"), [("single", 62), ("leaf-spine", 59)])
def test_routed_pods_see_the_routers_in_the_ttl(topology: str, ttl: int) -> None:
    cluster = shop("none", topology)
    assert only(cluster.send("client", cluster.address("far"), 8080)).packet.ttl == ttl


@pytest.mark.parametrize("topology", ["single", "leaf-spine"])
@pytest.mark.parametrize("ttl", range(1, 7))
def test_a_ttl_that_runs_out_ends_the_walk(topology: str, ttl: int) -> None:
    cluster = shop("none", topology)
    packet = transport_packet(
        Protocol.UDP, (cluster.address("client"), 1), (cluster.address("far"), 1)
    ).with_fields(nw_ttl=ttl)
    needed = {"single": 3, "leaf-spine": 6}[topology]
    outcome = only(cluster.walk("client", packet))
    assert outcome.kind is (OutcomeKind.DELIVERED if ttl >= needed else OutcomeKind.DROPPED)
    assert ttl >= needed or "TTL" in outcome.reason


@pytest.mark.parametrize(
    ("name", "port", "protocol"),
    [
        ("empty", 80, Protocol.TCP), ("empty", 53, Protocol.UDP), ("far", 81, Protocol.TCP),
        ("far", 80, Protocol.UDP), ("far", 53, Protocol.TCP), ("far", 80, Protocol.SCTP),
    ],
)  # fmt: skip
def test_no_endpoint_or_no_such_port_is_refused(name: str, port: int, protocol: Protocol) -> None:
    cluster = shop()
    outcome = only(cluster.send("client", cluster.cluster_ip(name), port, protocol))
    assert outcome.kind is OutcomeKind.REFUSED
    assert outcome.hops[-1].table == Table.SERVICE
    assert outcome.packet.destination == (cluster.cluster_ip(name), port)
    assert outcome.connections == NO_CONNECTIONS


@pytest.mark.parametrize(
    "flags", [TCP_SYN | TCP_ACK, TCP_RST, TCP_RST | TCP_ACK, TCP_FIN | TCP_ACK, TCP_SYN | TCP_FIN, 0]
)
def test_a_segment_of_no_connection_is_invalid(flags: int) -> None:
    cluster = shop()
    for to in (cluster.address("far"), cluster.cluster_ip("far")):
        outcome = only(cluster.send("client", to, 80, tcp_flags=flags))
        assert (outcome.kind, outcome.hops[-1].table) == (OutcomeKind.DROPPED, Table.CONNTRACK_STATE)


def test_a_reset_of_a_known_connection_gets_through() -> None:
    cluster = shop()
    there = only(cluster.send("client", cluster.cluster_ip("far"), 80))
    reset = reply_to(there.packet).with_fields(tcp_flags=TCP_RST | TCP_ACK)
    back = delivered(cluster.walk("far", reset, there.connections), "client")
    assert back.packet.source == (cluster.cluster_ip("far"), 80)


def test_ping_reaches_a_pod_and_its_answer_comes_back() -> None:
    cluster = shop()
    there = delivered(
        cluster.walk("client", echo_request(cluster.address("client"), cluster.address("far"))), "far"
    )
    assert answer(cluster, there).pod == "default/client"
    unasked = reply_to(echo_request(cluster.address("far"), cluster.address("client")))
    assert only(cluster.walk("client", unasked)).kind is OutcomeKind.DROPPED


def test_a_closed_udp_port_behind_a_service_tells_the_client() -> None:
    cluster = shop()
    service_address = cluster.cluster_ip("far")
    there = only(cluster.send("client", service_address, 53, Protocol.UDP))
    error = delivered(cluster.walk("far", port_unreachable(there.packet), there.connections), "client")
    assert error.packet.source[0] == service_address
    quoted = error.packet.quoted
    assert quoted is not None
    assert (quoted.source, quoted.destination) == (
        (cluster.address("client"), CLIENT_PORT), (service_address, 53),
    )  # fmt: skip


def test_an_error_about_nothing_is_dropped() -> None:
    cluster = shop()
    there = only(cluster.send("client", cluster.address("far"), 8080, Protocol.UDP))
    outcome = only(cluster.walk("far", port_unreachable(there.packet), NO_CONNECTIONS))
    assert outcome.kind is OutcomeKind.DROPPED


@pytest.mark.parametrize("target", ["near", "far"])
def test_spoofed_sources_are_dropped_at_the_first_hop(target: str) -> None:
    cluster = shop()
    honest, other = cluster.address("client"), cluster.address("near")
    to = (cluster.address(target), 8080)
    for packet in (
        transport_packet(Protocol.TCP, (other, 1), to, eth_src=pod_mac(honest)),
        transport_packet(Protocol.TCP, (other, 1), to),
        transport_packet(Protocol.TCP, (honest, 1), to, eth_src=pod_mac(other)),
        transport_packet(Protocol.TCP, (ip_address(HAIRPIN_ADDRESS), 1), to, eth_src=pod_mac(honest)),
    ):
        outcome = only(cluster.walk("client", packet))
        assert (outcome.kind, outcome.hops[-1].table) == (OutcomeKind.DROPPED, Table.SPOOF_GUARD)


def test_arp_is_answered_for_every_address_but_ones_own() -> None:
    cluster = shop()
    own = cluster.address("client")
    for target in (
        cluster.address("near"),
        cluster.address("far"),
        ip_address("10.244.0.1"),
        ip_address("8.8.8.8"),
    ):
        reply = delivered(
            cluster.walk("client", arp_request(pod_mac(own), own, target)), "client"
        ).packet.fields
        assert reply == {
            "eth_type": 0x0806, "arp_op": 2,
            "eth_src": number(VIRTUAL_ROUTER_MAC), "eth_dst": number(pod_mac(own)),
            "arp_sha": number(VIRTUAL_ROUTER_MAC), "arp_spa": int(target),
            "arp_tha": number(pod_mac(own)), "arp_tpa": int(own),
        }  # fmt: skip
    probe = arp_request(pod_mac(own), own, own)
    assert only(cluster.walk("client", probe)).kind is OutcomeKind.DROPPED
    lie = arp_request(pod_mac(own), cluster.address("near"), cluster.address("far"))
    assert only(cluster.walk("client", lie)).hops[-1].table == Table.SPOOF_GUARD


@pytest.mark.parametrize("encapsulation", ["vxlan", "none"])
def test_a_node_reaches_pods_and_services_and_hears_back(encapsulation: str) -> None:
    cluster = shop(encapsulation)
    gateway = cluster.intent.nodes["node1"].gateway_addresses[0]
    for to, port in ((cluster.address("near"), 8080), (cluster.cluster_ip("far"), 80)):
        packet = transport_packet(Protocol.TCP, (gateway, 1), (to, port))
        there = only(walk(cluster.network, cluster.network.gateway_port("node1"), packet))
        assert there.kind is OutcomeKind.DELIVERED
        back = answer(cluster, there)
        assert (back.kind, back.node) == (OutcomeKind.TO_NODE, "node1")
        assert back.packet.source == (to, port)


def test_a_pod_reaches_nodes_by_their_gateway_address() -> None:
    cluster = shop()
    for node, address in (("node1", "10.244.0.1"), ("node2", "10.244.1.1"), ("node1", "172.20.0.1")):
        outcome = only(cluster.send("client", ip_address(address), 22))
        assert (outcome.kind, outcome.node) == (OutcomeKind.TO_NODE, node)


def test_a_repeated_first_packet_stays_with_its_backend() -> None:
    cluster = cluster_of(
        [pod("client"), *(pod(f"web{number}", "web") for number in range(3)), service("web", "web")], nodes=1
    )
    for first in cluster.send("client", cluster.cluster_ip("web"), 80):
        repeated = cluster.send("client", cluster.cluster_ip("web"), 80, connections=first.connections)
        assert {outcome.pod for outcome in repeated} == {first.pod}
        assert {outcome.connections for outcome in repeated} == {first.connections}


def test_an_established_connection_outlives_its_endpoint() -> None:
    before, after = (
        cluster_of([pod("client", node="node1"), pod("web", app, "node2"), service("web", "web")])
        for app in ("web", "other")
    )
    first = only(before.send("client", before.cluster_ip("web"), 80))
    known = answer(before, first).connections
    assert delivered(
        after.send("client", after.cluster_ip("web"), 80, tcp_flags=TCP_ACK, connections=known), "web"
    )
    assert only(after.send("client", after.cluster_ip("web"), 80)).kind is OutcomeKind.REFUSED


def test_one_client_port_serves_two_connections_to_one_backend() -> None:
    """Straight and through the Service: the answers must be told apart, so one source port moves on."""
    cluster = shop()
    straight = only(cluster.send("client", cluster.address("far"), 8080))
    through = only(cluster.send("client", cluster.cluster_ip("far"), 80, connections=straight.connections))
    assert through.packet.source == (cluster.address("client"), CLIENT_PORT + 1)
    back = answer(cluster, through)
    assert (back.packet.source, back.packet.destination) == (
        (cluster.cluster_ip("far"), 80), (cluster.address("client"), CLIENT_PORT),
    )  # fmt: skip


def test_a_chooser_picks_the_buckets() -> None:
    cluster = cluster_of([pod("client"), *(pod(f"web{n}", "web") for n in range(3)), service("web", "web")])
    packet = transport_packet(Protocol.TCP, (cluster.address("client"), 1), (cluster.cluster_ip("web"), 80))
    last = only(cluster.walk("client", packet, choose=lambda group, _packet: group.buckets[1:2]))
    assert last.hops[4].bucket is not None
    assert last.hops[4].bucket.bucket_id == 2
    nobody = only(cluster.walk("client", packet, choose=lambda _group, _packet: ()))
    assert nobody.kind is OutcomeKind.DROPPED


def rewritten(cluster: Built, *flows: Flow) -> Built:
    """Return the cluster with flows of br-int added to every node."""
    programs = tuple(
        NodeProgram(program.node, {**program.owners, "extra": flows}) for program in cluster.programs
    )
    network = network_of(programs, cluster.intent.nodes, cluster.underlay)
    return Built(cluster.state, cluster.underlay, cluster.intent, programs, network)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ((GotoTable(0),), "only goes forward"),
        ((Output("NORMAL"),), "outputs to NORMAL"),
        ((Output(2), GotoTable(10)), "goes on after output:2"),
        ((SetField("arp_op", 2), GotoTable(10)), "which the packet lacks"),
    ],
)
def test_what_cannot_be_followed_is_an_error(actions: tuple, message: str) -> None:
    cluster = rewritten(shop(), Flow(INTEGRATION_BRIDGE, 0, 500, match(eth_type=0x0800), actions))
    with pytest.raises(UnwalkableError, match=message):
        cluster.send("client", cluster.address("near"), 80)


def test_flows_that_compete_are_an_error() -> None:
    rival = Flow(INTEGRATION_BRIDGE, 0, 90, match(eth_type=0x0800), ())
    cluster = rewritten(shop(), rival)
    with pytest.raises(UnwalkableError, match="one priority"):
        cluster.send("client", cluster.address("near"), 80)


def test_output_to_the_port_of_entry_needs_its_name() -> None:
    cluster = shop()
    port = cluster.network.pod_port("default/client").number
    looped = rewritten(cluster, Flow(INTEGRATION_BRIDGE, 0, 500, match(eth_type=0x0800), (Output(port),)))
    outcome = only(looped.send("client", cluster.address("near"), 80))
    assert (outcome.kind, outcome.reason) == (
        OutcomeKind.DROPPED, "it may not leave by the port that it came in by",
    )  # fmt: skip


def test_the_walk_leaves_its_connections_alone() -> None:
    cluster, known = shop(), Connections()
    assert only(cluster.send("client", cluster.cluster_ip("far"), 80, connections=known)).connections != known
    assert known == NO_CONNECTIONS


def test_packets_say_in_words_what_they_are() -> None:
    a, b = ip_address("10.244.0.2"), ip_address("10.244.1.2")
    assert transport_packet(Protocol.UDP, (a, 1), (b, 53)).text() == "UDP 10.244.0.2:1 > 10.244.1.2:53 ttl 64"
    assert echo_request(a, b).text() == "protocol 1 10.244.0.2 > 10.244.1.2 ttl 64"
    assert arp_request(pod_mac(a), a, b).text() == "ARP op 1 10.244.0.2 > 10.244.1.2"
