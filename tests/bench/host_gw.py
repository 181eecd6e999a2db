"""What flannel's plain routes cost beside a path that is built by hand. Runs inside a sandbox."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, cycle, islice, permutations
from socket import socket
from statistics import median

from testbed.dataplanes.linux import Sysctl
from testbed.drivers import iproute
from testbed.drivers.iptables import IptablesDriver
from testbed.emulation.cluster import EmulatedCluster
from testbed.emulation.namespaces import pod_namespace
from testbed.emulation.processes import Processes, wait_for_line
from testbed.emulation.sandbox import RUN_FOLDER
from testbed.intent import ClusterIntent
from testbed.runner.pinning import choose_pinning
from testbed.spec.experiment import PinningSpec
from tests.bench import by_hand, ping_pong
from tests.bench.bring_up import built
from tests.bench.generated import deployment, plan
from tests.combinations import Combination

FLANNEL, BY_HAND, WITH_RULES = PATHS = ("flannel", "by hand", "by hand with rules")
"""The paths; the last one is built by hand and then has the rules of flannel's nodes."""
_BRIDGE_NETFILTER = "net/bridge/bridge-nf-call-iptables"
"""Whether what crosses a bridge passes the hooks of IPv4: 1 is the kernel's default and kube-proxy's wish."""
_BARE, _RULED = "bare", "ruled"
_PORT = 5201
_WARMUP = 50
_START_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class _End:
    """A path: the namespaces of its Pods, the server's address, and the namespaces of its nodes."""

    client: str
    server: str
    address: str
    nodes: tuple[str, ...]


def measure(rounds: int, messages: int) -> tuple[dict[str, float], str]:
    """Let messages go back and forth on all paths by turns, with and without the hooks at the bridges.

    In a round each path has one turn; the order is another one in each of six rounds.

    Args:
        rounds: how many.
        messages: how many a turn has.
    """
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(RUN_FOLDER))
        planned = plan(2, [deployment("web", 2)], Combination("flannel", "host-gw", "none"))
        ends = _ends(built(planned, processes))
        pinning = choose_pinning(PinningSpec())
        _start_server(processes, ends, pinning.server)
        stack.enter_context(_staying_on(pinning.client))
        paths = [stack.enter_context(ping_pong.connect(end.client, end.address, _PORT)) for end in ends]
        readings: dict[str, float] = {}
        for value, suffix in (("1", ""), ("0", ", bridges without hooks")):
            for node in chain.from_iterable(end.nodes for end in ends):
                iproute.write_sysctls(node, [Sysctl(_BRIDGE_NETFILTER, value)])
            compared = _compared(_played(paths, rounds, messages))
            readings |= {f"{name}{suffix}": number for name, number in compared.items()}
        return readings, ""


def _ends(cluster: EmulatedCluster) -> list[_End]:
    """Build the paths that are missing, and return all in the order of PATHS."""
    client, server = (cluster.state.pods_on(name)[0] for name in cluster.intent.nodes)
    flannel = _End(
        pod_namespace(client.namespace, client.name),
        pod_namespace(server.namespace, server.name),
        str(server.addresses[0]),
        tuple(cluster.intent.nodes),
    )
    hand = [_built_by_hand(path, cluster.intent) for path in (_BARE, _RULED)]
    for namespace, node in zip(hand[1].nodes, cluster.intent.nodes.values(), strict=True):
        IptablesDriver(namespace).apply(cluster.dataplane.render_node(node))
    return [flannel, *hand]


def _built_by_hand(path: str, intent: ClusterIntent) -> _End:
    by_hand.build(path, intent.nodes)
    first, second = intent.nodes
    return _End(
        by_hand.pod_namespace(path, first),
        by_hand.pod_namespace(path, second),
        str(by_hand.pod_address(intent.nodes[second])),
        tuple(by_hand.node_namespace(path, name) for name in intent.nodes),
    )


def _start_server(processes: Processes, ends: Sequence[_End], cpu: int | None) -> None:
    argv = [sys.executable, "-m", ping_pong.__name__, str(_PORT), *(end.server for end in ends)]
    server = processes.start("ping-pong server", argv, cpu=cpu)
    wait_for_line(server, ping_pong.READY, processes, _START_TIMEOUT_S)


@contextmanager
def _staying_on(cpu: int | None) -> Iterator[None]:
    """Stay on one processor."""
    usable = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


def _played(paths: Sequence[socket], rounds: int, messages: int) -> list[list[float]]:
    """Return the p50 of every turn, in microseconds: a list a path, in the order of rounds."""
    orders = islice(cycle(permutations(range(len(paths)))), rounds)
    turns = list(chain.from_iterable(orders))
    taken: list[list[float]] = [[] for _ in paths]
    for turn, values in zip(
        turns, ping_pong.play(paths, turns, warmup=_WARMUP, messages=messages), strict=True
    ):
        taken[turn].append(median(values))
    return taken


def _compared(p50s: Sequence[Sequence[float]]) -> dict[str, float]:
    flannel, bare, ruled = p50s
    shown = {f"{name}, p50": median(values) for name, values in zip(PATHS, p50s, strict=True)}
    return {
        f"{FLANNEL} / {BY_HAND}": _ratio(flannel, bare),
        f"{WITH_RULES} / {BY_HAND}": _ratio(ruled, bare),
        f"{FLANNEL} / {WITH_RULES}": _ratio(flannel, ruled),
        **shown,
    }


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return median(one / other for one, other in zip(above, below, strict=True))
