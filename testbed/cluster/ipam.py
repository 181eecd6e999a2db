"""Pod addresses: podCIDRs of nodes carved from the cluster's, and which addresses of each are taken.

Owns the arithmetic of address ranges. Knows no Pod beyond a readable name for its messages: `pods.py` and
`changes.py` ask. `service_addresses.py` and `node_ports.py` are its like for Services. Nothing here
assumes 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from testbed.errors import CapacityError
from testbed.inet import IPAddress, IPAddresses, IPNetwork


@dataclass(frozen=True, slots=True)
class AddressPool:
    """The addresses of one network that may be given out: offsets `first` to `last`; which of them are taken.

    `lowest_free` follows from `taken`, so pools with the same addresses taken are equal whatever happened
    before.
    """

    network: IPNetwork
    first: int
    last: int
    taken: frozenset[int]
    lowest_free: int

    @property
    def size(self) -> int:
        """How many addresses the pool can give out."""
        return max(0, self.last - self.first + 1)

    def take(self) -> tuple[IPAddress, AddressPool] | None:
        """Return the lowest free address and the pool without it, or None when there is none."""
        if self.lowest_free > self.last:
            return None
        taken = self.taken | {self.lowest_free}
        pool = replace(self, taken=taken, lowest_free=_lowest_free(taken, self.lowest_free))
        return self.network[self.lowest_free], pool

    def release(self, address: IPAddress) -> AddressPool:
        """Return the pool with an address given back; an address that was not taken changes nothing."""
        offset = offset_in(self.network, address)
        if offset not in self.taken:
            return self
        return replace(self, taken=self.taken - {offset}, lowest_free=min(offset, self.lowest_free))


def offset_in(network: IPNetwork, address: IPAddress) -> int:
    """Return how many places after the network address an address lies (negative or large when outside)."""
    return int(address) - int(network.network_address)


def node_blocks(pod_cidr: IPNetwork, prefix_length: int, count: int) -> tuple[IPNetwork, ...]:
    """Carve the podCIDRs of `count` nodes, in node order, out of the cluster's.

    Raises:
        CapacityError: the cluster's podCIDR holds fewer blocks of that prefix length.
    """
    bits = prefix_length - pod_cidr.prefixlen
    available = 1 << bits if bits >= 0 else 0
    if count > available:
        raise CapacityError(
            f"podCIDR {pod_cidr} holds {available} blocks of /{prefix_length}, and there are {count} nodes",
            where="spec.cluster.podCIDR",
            fix="widen podCIDR, or raise nodePodPrefix so that each node takes a smaller block",
        )
    return tuple(islice(pod_cidr.subnets(new_prefix=prefix_length), count))


def pod_pool(block: IPNetwork, taken: Iterable[IPAddress] = ()) -> AddressPool:
    """Return the pool of a node's podCIDR: without network address, gateway and IPv4 broadcast address."""
    offsets = frozenset(offset_in(block, address) for address in taken if address in block)
    return AddressPool(
        block, first=2, last=last_usable(block), taken=offsets, lowest_free=_lowest_free(offsets, 2)
    )


def take_pod_addresses(
    pools: Sequence[AddressPool], node: str, pod: str
) -> tuple[IPAddresses, tuple[AddressPool, ...]]:
    """Take the lowest free address of each family for a Pod.

    Args:
        pools: the node's pools, one per family, the primary first.
        node: the node's name, for the message.
        pod: the Pod's `namespace/name`, for the message.

    Raises:
        CapacityError: a pool has no address left.
    """
    addresses: list[IPAddress] = []
    left: list[AddressPool] = []
    for pool in pools:
        taken = pool.take()
        if taken is None:
            raise CapacityError(
                f"Pod {pod} needs an address of {node}, whose podCIDR {pool.network} has {pool.size}"
                " addresses for Pods, all of them taken",
                where="spec.cluster.nodePodPrefix",
                fix="lower nodePodPrefix (and widen podCIDR if need be), add nodes, or run fewer Pods",
            )
        addresses.append(taken[0])
        left.append(taken[1])
    return tuple(addresses), tuple(left)


def release_pod_addresses(pools: Sequence[AddressPool], addresses: IPAddresses) -> tuple[AddressPool, ...]:
    """Give a Pod's addresses back to its node's pools."""
    left = []
    for pool in pools:
        released = pool
        for address in addresses:
            released = released.release(address)
        left.append(released)
    return tuple(left)


def _lowest_free(taken: frozenset[int], start: int) -> int:
    while start in taken:
        start += 1
    return start


def last_usable(network: IPNetwork) -> int:
    """Return the last offset that may be given out: IPv4 keeps its last address for broadcast (RFC 919)."""
    return network.num_addresses - (2 if network.version == 4 else 1)
