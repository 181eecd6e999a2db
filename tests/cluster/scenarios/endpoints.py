"""Scenarios of Services: how connections spread over endpoints, and what a change of these does to them."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from scenarios.entries import entries_of
from scenarios.holding import missing, open_vswitch, switch_of
from scenarios.stage import Scenario, main, namespace_of

from testbed.cluster.changes import Change, set_pod_ready
from testbed.emulation.cluster import EmulatedCluster
from testbed.emulation.namespaces import entered
from testbed.emulation.prober import Attempt
from testbed.inet import Protocol
from testbed.intent_from_cluster import recompile_services

CLIENT = "default/client"
APP = "default/app"
OTHERS = ("default/many",)
ENDPOINTS = ("default/app-0", "default/app-1", "default/app-2")
HELD = 20
TRIES = 60
_FIRST_NEW_PORT = 20_000
_ANSWER_S = 10.0
Json = dict[str, Any]


# --- spread ------------------------------------------------------------------------------------------------


def spread(cluster: EmulatedCluster, given: Sequence[tuple[str, str, int, int]]) -> list[dict[str, int]]:
    """Open many connections to Services from one client; return how many each endpoint answered.

    Args:
        cluster: the cluster.
        given: for each case the Service, the protocol, how many connections, and their first source port, as
            the choice follows from the ports: the same ones give the same result.
    """
    return [_answers(cluster, *case) for case in given]


def _answers(
    cluster: EmulatedCluster, service: str, protocol: str, connections: int, first: int
) -> dict[str, int]:
    """Open connections one after the other, each from its own source port; return who answered how often."""
    address = str(cluster.state.services[service].cluster_ips[0])
    with entered(namespace_of(CLIENT)):
        answered = Counter(_ask(protocol, (address, 80), first + number) for number in range(connections))
    return dict(sorted(answered.items()))


def _ask(protocol: str, aim: tuple[str, int], source_port: int) -> str:
    """Open a connection in the thread's namespace and ask; return the Pod, or refused or blocked."""
    try:
        with _connection(protocol, aim, source_port) as connection:
            return _who(connection)
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "blocked"


@contextmanager
def _connection(protocol: str, aim: tuple[str, int], source_port: int = 0) -> Iterator[socket.socket]:
    """Open a socket in the thread's namespace, connected to an address."""
    kind = socket.SOCK_STREAM if protocol == Protocol.TCP else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as connection:
        connection.settimeout(_ANSWER_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.bind(("", source_port))
        connection.connect(aim)
        yield connection


def _who(connection: socket.socket) -> str:
    """Ask who is at the other end of a connection; "closed" where it has been ended.

    Raises:
        OSError: refused, reset, or no answer in time.
    """
    connection.sendall(b"who?\n")
    received = connection.recv(4096)
    return str(json.loads(received)["pod"]) if received else "closed"


# --- changes -----------------------------------------------------------------------------------------------


class Course:
    """A Service with connections that are held open while its endpoints come and go."""

    def __init__(self, cluster: EmulatedCluster, held: Sequence[socket.socket]) -> None:
        self._cluster = cluster
        self._held = held
        self._first = [_who(connection) for connection in held]
        self.steps: list[Json] = []

    def _new(self, protocol: str) -> dict[str, int]:
        """Try new connections from source ports that nothing came from before."""
        first = _FIRST_NEW_PORT + len(self.steps) * TRIES
        return _answers(self._cluster, APP, protocol, TRIES, first)

    def change(self, name: str, ready: Sequence[str]) -> None:
        """Make these endpoints, and no others, ready; record all that can be seen from the client."""
        _make_ready(self._cluster, ready)
        self.steps.append(
            {
                "step": name,
                "ready": list(ready),
                "held_before": self._first,
                "held": [_who(connection) for connection in self._held],
                "new_tcp": self._new("TCP"),
                "new_udp": self._new("UDP"),
                "others": [_others(self._cluster)],
            }
        )


def changes(cluster: EmulatedCluster, _given: object) -> Json:
    """Hold connections open while endpoints go and come; return what each step left, and others' entries."""
    _touch_others(cluster)
    entries_before = {node: entries_of(cluster, node, OTHERS) for node in cluster.intent.nodes}
    address = str(cluster.state.services[APP].cluster_ips[0])
    with ExitStack() as stack:
        with entered(namespace_of(CLIENT)):
            held = [stack.enter_context(_connection("TCP", (address, 80))) for _ in range(HELD)]
        course = Course(cluster, held)
        zero, one, two = ENDPOINTS
        course.change("all", ENDPOINTS)
        course.change("one is taken out", (zero, one))
        course.change("another is taken out", (zero,))
        course.change("the first goes, one comes back", (two,))
        course.change("nobody is left", ())
        course.change("one comes back", (one,))
        course.change("all come back", ENDPOINTS)
    return {
        "steps": course.steps,
        "entries_before": entries_before,
        "entries_after": {node: entries_of(cluster, node, OTHERS) for node in cluster.intent.nodes},
        "differences": {node: missing(cluster, node) for node in cluster.intent.nodes},
    }


def one_change(cluster: EmulatedCluster, _given: object) -> Json:
    """Take one endpoint out and in again; return how many entries were sent each time."""
    sent = []
    for ready in (False, True):
        _hand_over(cluster, set_pod_ready(cluster.state, ENDPOINTS[0], ready=ready))
        acknowledgement = switch_of(cluster).acknowledgement
        assert acknowledgement is not None
        sent.append(acknowledgement.entries)
    return {"took_out": sent[0], "put_back": sent[1], "nodes": len(cluster.intent.nodes)}


def _make_ready(cluster: EmulatedCluster, ready: Sequence[str]) -> None:
    """Make these endpoints, and no others, ready, in one update; wait until the client's node goes by it."""
    state, services = cluster.state, frozenset[str]()
    for pod in ENDPOINTS:
        change = set_pod_ready(state, pod, ready=pod in ready)
        state, services = change.state, services | change.services
    _hand_over(cluster, Change(state, services))
    _await_revalidation(cluster, cluster.state.pods[CLIENT].node)


def _hand_over(cluster: EmulatedCluster, change: Change) -> None:
    """Bring a change of endpoints to the nodes."""
    intent = recompile_services(cluster.intent, change.state, change.services)
    cluster.change(change.state, intent, [f"Service/{name}" for name in sorted(change.services)])


def _await_revalidation(cluster: EmulatedCluster, node: str) -> None:
    """Wait until a node's switch forwards nothing by what it had cached before a change.

    A barrier speaks for the flow tables; the datapath's cache follows within milliseconds. A revalidation
    that was under way may have missed the change, so the second one counts. The kernel's own rules are in
    force when they are there.
    """
    switch = open_vswitch(cluster)
    if switch is not None:
        for _ in range(2):
            switch.switches[node].appctl("revalidator/wait")


def _others(cluster: EmulatedCluster) -> str:
    address = cluster.state.services[OTHERS[0]].cluster_ips[0]
    attempt = Attempt(namespace_of(CLIENT), CLIENT, "other", address, Protocol.TCP, 80)
    return str(cluster.try_all([attempt], timeout_s=3.0)[0].verdict)


def _touch_others(cluster: EmulatedCluster) -> None:
    """Send something through the other Services' entries, so that their counters are not 0."""
    for protocol in ("TCP", "UDP"):
        _answers(cluster, OTHERS[0], protocol, 20, 30_000)


SCENARIOS: dict[str, Scenario] = {
    "spread": spread,
    "changes": changes,
    "one_change": one_change,
}

if __name__ == "__main__":
    main(SCENARIOS)
