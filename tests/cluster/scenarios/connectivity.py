"""Scenarios of the matrix: what reaches what, whether programs hold, what fits, and what the wire carries."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Sequence
from typing import Any

from scenarios.frames import Sniffer, parse_frame
from scenarios.holding import apply_all, damage, held, missing
from scenarios.stage import Scenario, main, namespace_of, tried

from testbed.drivers.shell import run
from testbed.emulation.cluster import EmulatedCluster
from testbed.emulation.namespaces import entered
from testbed.emulation.prober import Attempt
from testbed.inet import Protocol

_IP_AND_ICMP_BYTES = 28
_IP_AND_UDP_BYTES = 28
Json = dict[str, Any]


def ask(cluster: EmulatedCluster, attempts: Sequence[Attempt]) -> list[list[str]]:
    """Try connections; return verdict, endpoint and the client address that it saw, in their order."""
    outcomes = cluster.try_all(attempts, timeout_s=2.0)
    return [[str(outcome.verdict), outcome.endpoint, outcome.seen_as] for outcome in outcomes]


def differences(cluster: EmulatedCluster, _given: object) -> Json:
    """Return how what nodes hold differs from what they should."""
    return {node: missing(cluster, node) for node in cluster.intent.nodes}


def apply_again(cluster: EmulatedCluster, _given: object) -> Json:
    """Apply every node's program a second time; return what each node held before and after."""
    before = {node: held(cluster, node, is_counting=True) for node in cluster.intent.nodes}
    apply_all(cluster)
    after = {node: held(cluster, node, is_counting=True) for node in cluster.intent.nodes}
    return {"before": before, "after": after}


def apply_to_damage(cluster: EmulatedCluster, _given: object) -> Json:
    """Take an object of every kind from every node; return what was taken, and what is held each time."""
    nodes = list(cluster.intent.nodes)
    before = {node: held(cluster, node, is_counting=False) for node in nodes}
    taken = {node: damage(cluster, node) for node in nodes}
    damaged = {node: missing(cluster, node) for node in nodes}
    apply_all(cluster)
    after = {node: held(cluster, node, is_counting=False) for node in nodes}
    return {"before": before, "taken": taken, "damaged": damaged, "after": after}


def mtu(cluster: EmulatedCluster, pairs: Sequence[tuple[str, str, int]]) -> list[Json]:
    """Send packets of exactly a Pod's MTU, and of one byte more, that must not be fragmented.

    Args:
        cluster: the cluster.
        pairs: client Pod, server Pod, and the UDP port that the server answers on.
    """
    found = []
    for client, server, port in pairs:
        size = cluster.state.network.mtu_bytes
        address = str(cluster.state.pods[server].addresses[0])
        ping = ["ping", "-n", "-M", "do", "-c", "3", "-i", "0.05", "-W", "2"]
        exact = tried(namespace_of(client), [*ping, "-s", str(size - _IP_AND_ICMP_BYTES), address])
        larger = tried(namespace_of(client), [*ping, "-s", str(size - _IP_AND_ICMP_BYTES + 1), address])
        found.append(
            {
                "interface": _mtu_of(client),
                "exact": exact,
                "larger": larger,
                "datagram": _send(client, (address, port), size - _IP_AND_UDP_BYTES),
                "larger_datagram": _send(client, (address, port), size - _IP_AND_UDP_BYTES + 1),
            }
        )
    return found


def wire(cluster: EmulatedCluster, given: tuple[str, str, int]) -> list[Json]:
    """Capture at the client's switch what a connection looks like on the wire.

    Args:
        cluster: the cluster.
        given: client Pod, server Pod and TCP port.
    """
    client, server, port = given
    node = cluster.underlay.nodes[cluster.state.pods[client].node]
    link = next(link for link in cluster.underlay.links if link.a.device == node.device)
    pods = {str(cluster.state.pods[name].addresses[0]) for name in (client, server)}
    address = cluster.state.pods[server].addresses[0]
    with Sniffer("", link.b.interface) as sniffer:
        size = cluster.state.network.mtu_bytes - _IP_AND_ICMP_BYTES
        tried(namespace_of(client), ["ping", "-n", "-c", "1", "-s", str(size), "-W", "2", str(address)])
        outcome = cluster.try_all(
            [Attempt(namespace_of(client), client, server, address, Protocol.TCP, port)]
        )[0]
        frames = [parse_frame(frame) for frame in sniffer.taken()]
    shown = [frame for frame in frames if pods & {frame.get("src"), frame.get("dst")} or "inner" in frame]
    return [{"verdict": str(outcome.verdict)}, *shown]


def equal_paths(cluster: EmulatedCluster, given: tuple[str, str, int, int]) -> Json:
    """Send many flows between two leaves; return the packets that left by each of the leaf's ways to a spine.

    Args:
        cluster: the cluster.
        given: client Pod, server Pod, UDP port and number of flows.
    """
    client, server, port, flows = given
    router = next(
        router
        for router in cluster.underlay.routers
        if router.name == cluster.underlay.nodes[cluster.state.pods[client].node].router
    )
    ways = [interface.name for interface in router.interfaces[1:]]
    before = _sent(f"router:{router.name}", ways)
    address = cluster.state.pods[server].addresses[0]
    attempts = [
        Attempt(namespace_of(client), client, f"flow {number}", address, Protocol.UDP, port)
        for number in range(flows)
    ]
    outcomes = cluster.try_all(attempts, timeout_s=3.0)
    after = _sent(f"router:{router.name}", ways)
    return {
        "answered": sum(outcome.verdict == "allowed" for outcome in outcomes),
        "sent": {way: after[way] - before[way] for way in ways},
    }


def _mtu_of(pod: str) -> int:
    shown = json.loads(run(["ip", "-json", "link", "show", "eth0"], namespace=namespace_of(pod)))
    return int(shown[0]["mtu"])


def _send(pod: str, aim: tuple[str, int], payload_bytes: int) -> str:
    """Send one datagram that must not be fragmented; return what became of it."""
    ip_mtu_discover, do_not_fragment = 10, 2
    with entered(namespace_of(pod)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, ip_mtu_discover, do_not_fragment)
        sender.settimeout(2)
        try:
            sender.sendto(bytes(payload_bytes), aim)
            return str(json.loads(sender.recv(65_536))["pod"])
        except TimeoutError:
            return "no answer"
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))


def _sent(namespace: str, interfaces: Sequence[str]) -> dict[str, int]:
    shown = json.loads(run(["ip", "-json", "-statistics", "link", "show"], namespace=namespace))
    counts = {link["ifname"]: int(link["stats64"]["tx"]["packets"]) for link in shown}
    return {name: counts[name] for name in interfaces}


SCENARIOS: dict[str, Scenario] = {
    "ask": ask,
    "differences": differences,
    "apply_again": apply_again,
    "apply_to_damage": apply_to_damage,
    "mtu": mtu,
    "wire": wire,
    "equal_paths": equal_paths,
}

if __name__ == "__main__":
    main(SCENARIOS)
