"""The mechanisms there are, by the names that `dataplanes.catalogue` gives them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from testbed.dataplanes.program import ProgramObject
from testbed.drivers.driver import Driver
from testbed.drivers.iproute import IprouteDriver
from testbed.drivers.iptables import IptablesDriver
from testbed.drivers.nftables import NftablesDriver
from testbed.emulation.mechanism import ClusterChange, Mechanism
from testbed.emulation.open_vswitch import OpenVSwitch
from testbed.emulation.processes import Processes
from testbed.intent import ClusterIntent

NODES_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class MechanismNeeds:
    """What a mechanism is made from."""

    intent: ClusterIntent
    datapath_type: str
    processes: Processes


class KernelMechanism:
    """A mechanism of the kernel: one driver a node, and nothing beside."""

    start_stage = finish_stage = ""
    datapath_type = ""
    pods_compute_checksums = False

    def __init__(self, driver_of: Callable[[str], Driver], needs: MechanismNeeds) -> None:
        self.drivers: Mapping[str, Driver] = {node: driver_of(node) for node in needs.intent.nodes}

    def start(self) -> None:
        """Nothing: the kernel is there."""

    def prepare(self, node: str) -> None:
        """Nothing."""

    def apply(self, node: str, wanted: Sequence[ProgramObject]) -> None:
        """Bring a node to its program."""
        self.drivers[node].apply(wanted)

    def finish(self, intent: ClusterIntent) -> None:
        """Nothing."""

    def change(self, change: ClusterChange) -> None:
        """Change every node that the change touches, several at a time."""
        changes = {node: change.on_node(node) for node in self.drivers}
        on_each(
            [node for node, its in changes.items() if its],
            lambda node: self.drivers[node].change(changes[node]),
        )


MECHANISMS: Mapping[str, Callable[[MechanismNeeds], Mechanism]] = {
    "openvswitch": lambda needs: OpenVSwitch(needs.intent, needs.datapath_type, needs.processes),
    "iproute": lambda needs: KernelMechanism(IprouteDriver, needs),
    "iptables": lambda needs: KernelMechanism(IptablesDriver, needs),
    "nftables": lambda needs: KernelMechanism(NftablesDriver, needs),
}
"""Mechanisms by name, in the order in which a node is programmed: addresses need the bridges to be there."""


def mechanisms_for(names: Collection[str], needs: MechanismNeeds) -> dict[str, Mechanism]:
    """Return the named mechanisms, in the order of MECHANISMS.

    Raises:
        KeyError: there is none of that name.
    """
    unknown = set(names) - MECHANISMS.keys()
    if unknown:
        raise KeyError(*sorted(unknown))
    return {name: make(needs) for name, make in MECHANISMS.items() if name in names}


def on_each(nodes: Collection[str], act: Callable[[str], None]) -> None:
    """Do something on nodes, several at a time: each spends most of it waiting for a program of its own."""
    if len(nodes) == 1:
        act(*nodes)
        return
    with ThreadPoolExecutor(NODES_AT_ONCE) as pool:
        for done in [pool.submit(act, node) for node in nodes]:
            done.result()
