"""podCIDRs and Pod addresses, both families."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.cluster.ipam import node_blocks, pod_pool, release_pod_addresses, take_pod_addresses
from testbed.errors import CapacityError

BLOCKS = [ip_network("10.244.3.0/28"), ip_network("fd00:10:244:3::/64"), ip_network("fd00::/125")]


def test_blocks_are_carved_in_node_order() -> None:
    blocks = node_blocks(ip_network("10.244.0.0/16"), 24, 3)
    assert [str(block) for block in blocks] == ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"]


def test_blocks_of_a_huge_ipv6_range_cost_only_what_is_asked() -> None:
    blocks = node_blocks(ip_network("fd00::/16"), 64, 2)
    assert [str(block) for block in blocks] == ["fd00::/64", "fd00:0:0:1::/64"]


@pytest.mark.parametrize("prefix_length", [24, 12])
def test_too_few_blocks_name_the_key(prefix_length: int) -> None:
    with pytest.raises(CapacityError, match="and there are 300 nodes") as caught:
        node_blocks(ip_network("10.244.0.0/16"), prefix_length, 300)
    assert caught.value.where == "spec.cluster.podCIDR"


def test_network_gateway_and_broadcast_are_never_given() -> None:
    pools = (pod_pool(ip_network("10.244.0.0/29")),)
    given_out = []
    for _ in range(5):
        addresses, pools = take_pod_addresses(pools, "node1", "default/a")
        given_out.append(str(addresses[0]))
    assert given_out == [f"10.244.0.{last}" for last in range(2, 7)]
    with pytest.raises(CapacityError) as caught:
        take_pod_addresses(pools, "node1", "default/late")
    message = str(caught.value)
    assert "default/late" in message
    assert "node1" in message
    assert "5 addresses" in message
    assert "nodePodPrefix" in message


def test_ipv6_has_no_broadcast_address() -> None:
    assert pod_pool(ip_network("fd00::/125")).size == 6


@pytest.mark.parametrize("block", ["10.0.0.0/31", "10.0.0.0/32", "10.0.0.0/30"])
def test_a_block_too_small_for_pods_gives_none_out(block: str) -> None:
    size = pod_pool(ip_network(block)).size
    assert size == (1 if block.endswith("/30") else 0)


def test_both_families_at_once() -> None:
    pools = (pod_pool(BLOCKS[0]), pod_pool(BLOCKS[1]))
    addresses, pools = take_pod_addresses(pools, "node1", "default/a")
    assert addresses == (ip_address("10.244.3.2"), ip_address("fd00:10:244:3::2"))
    assert release_pod_addresses(pools, addresses) == (pod_pool(BLOCKS[0]), pod_pool(BLOCKS[1]))


@settings(max_examples=100, deadline=None)
@given(block=st.sampled_from(BLOCKS), steps=st.lists(st.integers(min_value=-1, max_value=5), max_size=30))
def test_any_takes_and_releases(block, steps) -> None:
    """-1 takes an address, n releases the n-th held: the lowest free address always, none twice."""
    pool, held = pod_pool(block), []
    for step in steps:
        if step >= 0 and step < len(held):
            pool = pool.release(held.pop(step))
        elif (taken := pool.take()) is None:
            assert len(held) == pool.size
        else:
            address, pool = taken
            assert address in block
            assert address not in held
            lower = (block[offset] for offset in range(2, int(address) - int(block[0])))
            assert all(other in held for other in lower)
            held.append(address)
    assert pool == pod_pool(block, held)


def test_releasing_twice_changes_nothing() -> None:
    address, pool = pod_pool(BLOCKS[0]).take() or pytest.fail("no address")
    once = pool.release(address)
    assert once.release(address) is once
