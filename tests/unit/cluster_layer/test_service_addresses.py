"""ClusterIPs and node ports: what is asked for, what is chosen, what is refused."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.cluster.node_ports import NodePortRequest, assign_node_ports
from testbed.cluster.service_addresses import AddressRequest, assign_service_addresses
from testbed.errors import CapacityError

CIDR = ip_network("10.96.0.0/16")


def asks(service: str, *addresses: str) -> AddressRequest:
    return AddressRequest(f"default/{service}", tuple(map(ip_address, addresses)))


def assigned(*requests: AddressRequest, cidrs=(CIDR,)) -> dict[str, list[str]]:
    given_out = assign_service_addresses(requests, cidrs)
    return {name.removeprefix("default/"): list(map(str, ips)) for name, ips in given_out.items()}


def test_lowest_free_without_the_api_server_and_dns() -> None:
    given_out = assigned(*(asks(f"s{number:02}") for number in range(10)))
    assert [ips[0] for ips in given_out.values()] == [
        *(f"10.96.0.{last}" for last in range(2, 10)),
        "10.96.0.11",
        "10.96.0.12",
    ]


def test_an_explicit_wish_goes_first_whatever_the_order() -> None:
    assert assigned(asks("a"), asks("z", "10.96.0.2")) == {"a": ["10.96.0.3"], "z": ["10.96.0.2"]}


def test_dns_address_on_request() -> None:
    assert assigned(AddressRequest("kube-system/kube-dns", (ip_address("10.96.0.10"),))) == {
        "kube-system/kube-dns": ["10.96.0.10"]
    }


def test_first_address_is_the_api_servers() -> None:
    assert assigned(asks("kubernetes", "10.96.0.1")) == {"kubernetes": ["10.96.0.1"]}
    with pytest.raises(CapacityError, match="kept for Service default/kubernetes"):
        assigned(asks("web", "10.96.0.1"))


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("10.97.0.1", "outside the serviceCIDR 10.96.0.0/16"),
        ("fd00::1", "outside the serviceCIDR"),
        ("10.96.0.0", "the network address"),
        ("10.96.255.255", "the broadcast address"),
    ],
)
def test_impossible_addresses(address: str, why: str) -> None:
    with pytest.raises(CapacityError, match=why) as caught:
        assigned(asks("web", address))
    assert "default/web" in str(caught.value)
    assert caught.value.where == "spec.clusterIP"


def test_collision_names_both() -> None:
    with pytest.raises(CapacityError, match="Services default/a and default/b both ask for clusterIP"):
        assigned(asks("b", "10.96.0.7"), asks("a", "10.96.0.7"))


def test_exhaustion() -> None:
    with pytest.raises(CapacityError, match="has 5 addresses for Services") as caught:
        assigned(*(asks(f"s{number}") for number in range(6)), cidrs=(ip_network("10.96.0.0/29"),))
    assert "default/s5" in str(caught.value)


def test_dual_stack_fills_both_families() -> None:
    cidrs = (CIDR, ip_network("fd00:96::/112"))
    assert assigned(asks("a", "fd00:96::ffff"), asks("b"), cidrs=cidrs) == {
        "a": ["10.96.0.2", "fd00:96::ffff"],
        "b": ["10.96.0.3", "fd00:96::2"],
    }


@given(st.permutations([asks("a"), asks("b", "10.96.0.2"), asks("c"), asks("d", "10.96.0.10"), asks("e")]))
def test_order_has_no_influence(requests) -> None:
    assert assigned(*requests) == {
        "a": ["10.96.0.3"],
        "b": ["10.96.0.2"],
        "c": ["10.96.0.4"],
        "d": ["10.96.0.10"],
        "e": ["10.96.0.5"],
    }


def test_node_ports_lowest_free_after_wishes() -> None:
    requests = [
        NodePortRequest("default/a", ((80, None), (443, None))),
        NodePortRequest("default/b", ((80, 30000),)),
    ]
    assert assign_node_ports(requests) == {"default/a": (30001, 30002), "default/b": (30000,)}


def test_tcp_and_udp_of_one_port_share_a_node_port() -> None:
    requests = [NodePortRequest("default/dns", ((53, None), (53, 30053), (9153, None)))]
    assert assign_node_ports(requests) == {"default/dns": (30053, 30053, 30000)}


def test_node_port_collision_and_range() -> None:
    with pytest.raises(CapacityError, match="Services default/a and default/b both ask for nodePort 30001"):
        assign_node_ports(
            [NodePortRequest("default/b", ((1, 30001),)), NodePortRequest("default/a", ((2, 30001),))]
        )
    with pytest.raises(CapacityError, match="30000-32767"):
        assign_node_ports([NodePortRequest("default/a", ((80, 80),))])


def test_node_ports_run_out() -> None:
    many = NodePortRequest("default/a", tuple((port, None) for port in range(1, 2770)))
    with pytest.raises(CapacityError, match="all 2768 of 30000-32767 are taken"):
        assign_node_ports([many])
