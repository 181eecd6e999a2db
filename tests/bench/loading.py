"""Rules of thousands of Services on their way into the kernel: by the driver, and by the bare tool.

Runs inside a sandbox. No packet is sent: what is measured is the loading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import monotonic

from testbed.dataplanes.program import Difference, ProgramObject, difference
from testbed.dataplanes.registry import Dataplane, dataplane
from testbed.drivers import nftables
from testbed.drivers.driver import Driver
from testbed.drivers.iptables import IptablesDriver
from testbed.drivers.iptables_text import iptables_objects, repair
from testbed.drivers.shell import run
from testbed.emulation import namespaces
from testbed.intent import ClusterIntent, NodeIntent
from tests.bench.generated import manual_services, plan, service_name
from tests.combinations import Combination

ENDPOINTS = 2
CHANGES = 10
"""How often one Service more is added to a number of them."""
_NODES = 2
_NODE = "node1"
_TIMEOUT_S = 300.0
_Objects = tuple[ProgramObject, ...]


@dataclass(frozen=True, slots=True)
class _Tool:
    """A service proxy's driver, and the program that it drives: its command line and what that reads."""

    proxy: str
    driver: Callable[[str], Driver]
    argv: tuple[str, ...]
    text: Callable[[_Objects], str]


def measure(services: int, fewer: list[int], pairs: int) -> tuple[dict[str, float], str]:
    """Load a node's whole program into empty namespaces, with the driver and bare, and add Services to it.

    The driver observes, loads and verifies; the bare tool loads what the driver sent it. Who comes first
    changes from pair to pair.

    Args:
        services: how many the whole program has, each of ENDPOINTS endpoints.
        fewer: smaller numbers of them at which one more is added too.
        pairs: how many pairs of loads there are by nftables; by iptables there is one.
    """
    documents = manual_services(services + CHANGES, _NODES, ENDPOINTS)
    intent = plan(_NODES, documents, Combination("flannel", "host-gw", "nftables")).intent
    readings: dict[str, float] = {}
    for tool, times in ((_NFTABLES, pairs), (_IPTABLES, 1)):
        chosen = dataplane("flannel", tool.proxy)
        programs = {
            number: chosen.render(_with_services(intent, number)).objects() for number in (*fewer, services)
        }
        found, driver = _loaded(tool, programs[services], times)
        readings |= {f"{tool.proxy}: {name}": value for name, value in found.items()}
        for number in fewer:
            few = tool.driver(_empty_namespace(f"{tool.proxy}-{number}"))
            few.apply(programs[number])
            readings[f"{tool.proxy}: one more at {number}"] = _one_more_ms(few, chosen, intent, number)
        readings[f"{tool.proxy}: one more at {services}"] = _one_more_ms(driver, chosen, intent, services)
    return readings, ""


def _loaded(tool: _Tool, objects: _Objects, pairs: int) -> tuple[dict[str, float], Driver]:
    """Load by driver and bare, pair by pair; return how long each took, and the first pair's driver."""
    text = tool.text(objects)
    drivers, driven_s, bare_s = [], [], []
    for pair in range(pairs):
        empty = _empty_namespace(f"{tool.proxy}-bare-{pair}")
        drivers.append(tool.driver(_empty_namespace(f"{tool.proxy}-driver-{pair}")))
        bare = partial(run, tool.argv, namespace=empty, stdin=text, timeout_s=_TIMEOUT_S)
        if pair % 2:
            bare_s.append(_seconds(bare))
        driven_s.append(_seconds(partial(drivers[-1].apply, objects)))
        if not pair % 2:
            bare_s.append(_seconds(bare))
    ratios = [driven / bare for driven, bare in zip(driven_s, bare_s, strict=True)]
    readings = {
        "driver / bare": median(ratios),
        "driver": median(driven_s),
        "bare": median(bare_s),
        "text": len(text) / 1e6,
    }
    return readings, drivers[0]


def _one_more_ms(driver: Driver, chosen: Dataplane, intent: ClusterIntent, held: int) -> float:
    """Add the Services to a node that it does not hold yet, the next CHANGES of them; return the median."""
    node = intent.nodes[_NODE]
    added_ms = []
    for number in range(held, held + CHANGES):
        objects = chosen.render_object(node, intent.shared[_key(number)])
        added_ms.append(1000 * _seconds(partial(driver.change, Difference(objects, (), ()))))
    return median(added_ms)


def _with_services(intent: ClusterIntent, number: int) -> NodeIntent:
    """Return a node's intent with the first of the Services alone."""
    shared = {_key(each): intent.shared[_key(each)] for each in range(number)}
    return NodeIntent(intent.nodes[_NODE], {**shared, **intent.local[_NODE]})


def _key(number: int) -> str:
    return f"Service/default/{service_name(number)}"


def _empty_namespace(name: str) -> str:
    """Make one. None is deleted: the kernel would take its rules away while the next ones load."""
    namespaces.create(name, has_ipv6=False)
    return name


def _seconds(act: Callable[[], object]) -> float:
    began = monotonic()
    act()
    return monotonic() - began


def _nftables_text(objects: _Objects) -> str:
    return "\n".join([*nftables.transaction(difference((), objects)), ""])


def _iptables_text(objects: _Objects) -> str:
    return repair({}, iptables_objects(objects))


_NFTABLES = _Tool("nftables", nftables.NftablesDriver, ("nft", "-f", "-"), _nftables_text)
_IPTABLES = _Tool("iptables", IptablesDriver, ("iptables-nft-restore", "--noflush"), _iptables_text)
