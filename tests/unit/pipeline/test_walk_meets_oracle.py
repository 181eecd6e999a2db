"""Whatever the cluster: a walk through the rendered programs ends as the Kubernetes network model says."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from program_rules import broken_rules
from small_clusters import CLIENT_PORT, Built, built, cluster_spec, pod, service, state_of

from controllers.pipeline.packet import number, reply_to, transport_packet
from controllers.pipeline.tables import HAIRPIN_ADDRESS, VIRTUAL_ROUTER_MAC
from controllers.pipeline.walk import Outcome as Walked
from controllers.pipeline.walk import OutcomeKind
from testbed.cluster.changes import set_pod_ready, set_pod_terminating
from testbed.cluster.reach import Outcome, Reachability, answer
from testbed.inet import IPAddress, Protocol, pod_mac

APPS = ("red", "green", "blue", "none-has-this")
TARGET_PORTS = (8080, 5353)
PROTOCOLS = (Protocol.TCP, Protocol.UDP)
UNALLOCATED = tuple(
    ip_address(text)
    for text in ("10.96.200.1", "10.96.255.255", "10.244.0.200", "10.244.1.0", "10.244.1.255", "10.244.200.7")
)
KIND_OF = {
    Outcome.DELIVERED: OutcomeKind.DELIVERED,
    Outcome.REJECTED: OutcomeKind.REFUSED,
    Outcome.DROPPED: OutcomeKind.DROPPED,
}


@dataclass(frozen=True)
class Aim:
    """Who sends where."""

    pod: str
    address: IPAddress
    protocol: Protocol
    port: int


service_ports = st.lists(
    st.tuples(
        st.sampled_from((80, 53, 443)),
        st.sampled_from([str(protocol) for protocol in PROTOCOLS]),
        st.sampled_from(TARGET_PORTS),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda port: port[:2],
)


@st.composite
def clusters(draw: st.DrawFn) -> Built:
    nodes = draw(st.integers(1, 4))
    spec = cluster_spec(
        draw(st.sampled_from(("vxlan", "geneve", "none"))),
        draw(st.sampled_from(("single", "leaf-spine"))),
        nodes=nodes,
    )
    homes = ["", *(f"node{index}" for index in range(1, nodes + 1))]
    ports = [(port, str(protocol)) for port in TARGET_PORTS for protocol in PROTOCOLS]
    pods = [
        pod(f"pod{index}", draw(st.sampled_from(APPS[:3])), draw(st.sampled_from(homes)), ports)
        for index in range(draw(st.integers(1, 6)))
    ]
    services = [
        service(f"service{index}", draw(st.sampled_from(APPS)), draw(service_ports))
        for index in range(draw(st.integers(0, 4)))
    ]
    state = state_of([*pods, *services], spec)
    for name in sorted(state.pods):
        condition = draw(st.sampled_from(("ready", "ready", "not ready", "terminating")))
        if condition == "not ready":
            state = set_pod_ready(state, name, False).state
        elif condition == "terminating":
            state = set_pod_terminating(state, name).state
    return built(state, spec)


def aims(cluster: Built) -> st.SearchStrategy[Aim]:
    """Return aims of which half fit a Service's port, and the others anything."""
    names = sorted(made.name for made in cluster.state.pods.values())
    services = cluster.state.services.values()
    offered = [(made.cluster_ips[0], port.protocol, port.port) for made in services for port in made.ports]
    addresses = [made.addresses[0] for made in cluster.state.pods.values()]
    addresses += [made.cluster_ips[0] for made in services]
    anything = st.tuples(
        st.sampled_from([*addresses, *addresses, *UNALLOCATED]),
        st.sampled_from(PROTOCOLS),
        st.sampled_from((80, 53, 443, 8080, 1)),
    )
    wanted = st.one_of(st.sampled_from(offered), anything) if offered else anything
    return st.tuples(st.sampled_from(names), wanted).map(lambda pair: Aim(pair[0], *pair[1]))


def expected(cluster: Built, aim: Aim) -> Reachability:
    return answer(cluster.state, cluster.pod(aim.pod), aim.address, protocol=aim.protocol, port=aim.port)


def check_deliveries(cluster: Built, aim: Aim, outcomes: tuple[Walked, ...], oracle: Reachability) -> None:
    client = cluster.address(aim.pod)
    hidden = ip_address(HAIRPIN_ADDRESS)
    assert {(one.pod, one.packet.destination, one.packet.source) for one in outcomes} == {
        (
            found.pod,
            (found.address, found.port),
            (hidden if found.is_source_translated else client, CLIENT_PORT),
        )
        for found in oracle.deliveries
    }
    for one in outcomes:
        assert one.packet.fields["eth_dst"] == number(pod_mac(one.packet.destination[0]))
        assert one.packet.fields["eth_src"] == number(VIRTUAL_ROUTER_MAC)
        check_reply(cluster, aim, one)


def check_reply(cluster: Built, aim: Aim, there: Walked) -> None:
    """The answer must look as if it came from the address and port that the client aimed at."""
    receiver = there.pod.removeprefix("default/")
    (back,) = cluster.walk(receiver, reply_to(there.packet), there.connections)
    assert (back.kind, back.pod) == (OutcomeKind.DELIVERED, f"default/{aim.pod}"), back.reason
    assert back.packet.source == (aim.address, aim.port)
    assert back.packet.destination == (cluster.address(aim.pod), CLIENT_PORT)
    assert back.packet.fields["eth_dst"] == number(pod_mac(cluster.address(aim.pod)))


def check_aim(cluster: Built, aim: Aim) -> None:
    oracle = expected(cluster, aim)
    if oracle.outcome is Outcome.UNSPECIFIED or aim.address == cluster.address(aim.pod):
        return  # a Pod's packets to its own address do not leave it
    outcomes = cluster.send(aim.pod, aim.address, aim.port, aim.protocol)
    assert {one.kind for one in outcomes} == {KIND_OF[oracle.outcome]}, oracle.reason
    if oracle.outcome is Outcome.DELIVERED:
        check_deliveries(cluster, aim, outcomes, oracle)


def check_spoofed(cluster: Built, aim: Aim, claimed: IPAddress) -> None:
    own = cluster.address(aim.pod)
    if claimed != own:
        packet = transport_packet(
            aim.protocol, (claimed, CLIENT_PORT), (aim.address, aim.port), eth_src=pod_mac(own)
        )
        assert {one.kind for one in cluster.walk(aim.pod, packet)} == {OutcomeKind.DROPPED}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_walk_ends_as_the_oracle_says(data: st.DataObject) -> None:
    cluster = data.draw(clusters())
    for aim in data.draw(st.lists(aims(cluster), min_size=8, max_size=20, unique=True)):
        check_aim(cluster, aim)
    liar = data.draw(aims(cluster))
    claims = [made.addresses[0] for made in cluster.state.pods.values()] + [ip_address("8.8.8.8")]
    check_spoofed(cluster, liar, data.draw(st.sampled_from(claims)))
    for program in cluster.programs:
        assert broken_rules(program) == []
