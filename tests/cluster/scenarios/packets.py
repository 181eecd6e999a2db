"""Scenarios of single packets: sent under a false name, asked by ARP, too long for a link, and ICMP."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from scenarios.frames import Sniffer, arp_reply, arp_request, ethernet, udp_frame
from scenarios.stage import Scenario, main, namespace_of, tried

from testbed.emulation.cluster import EmulatedCluster
from testbed.emulation.namespaces import entered
from testbed.inet import pod_mac

SENDER = "default/sender"
OTHER = "default/beside"
ROUTER_MAC = "0e:00:00:00:00:01"
FALSE_MAC = "02:66:66:66:66:66"
_PORTS = (4444, 5555)
_HONEST = b"honest"
_ARRIVAL_S = 3.0
_ETH_IPV6 = 0x86DD
_OWN_PORT = 9999
Json = dict[str, Any]


def spoofing(cluster: EmulatedCluster, targets: Sequence[str]) -> dict[str, list[str]]:
    """Send raw frames under false addresses, then an honest one; return by target which arrived."""
    address, mac = _identity(cluster, SENDER)
    other, other_mac = _identity(cluster, OTHER)
    gateway = str(cluster.intent.nodes["node1"].gateway_addresses[0])
    names = {
        b"another Pod's address": (mac, other),
        b"another Pod's address and MAC": (other_mac, other),
        b"an address of nobody": (mac, "10.244.0.222"),
        b"an address beyond the cluster": (mac, "198.51.100.1"),
        b"the gateway's address": (mac, gateway),
        b"the node's address": (mac, str(cluster.intent.nodes["node1"].address)),
        b"a false MAC": (FALSE_MAC, address),
        b"the router's MAC": (ROUTER_MAC, address),
        _HONEST: (mac, address),
    }
    arrived = {}
    for target in targets:
        aim, aim_mac = _identity(cluster, target)
        with Sniffer(namespace_of(target), "eth0") as there, Sniffer(namespace_of(SENDER), "eth0") as here:
            for data, (source_mac, source) in names.items():
                for eth_dst in (ROUTER_MAC, aim_mac):
                    here.send(udp_frame((source_mac, eth_dst), (source, aim), _PORTS, data))
            here.send(ethernet((mac, aim_mac), _ETH_IPV6) + b"\x60" + bytes(39) + b"an IPv6 packet")
            arrived[target] = _arrived(there, [*names, b"an IPv6 packet"])
            here.send(udp_frame((mac, ROUTER_MAC), (address, aim), _PORTS, _HONEST))
            arrived[target] += _arrived(there, [*names, b"an IPv6 packet"])
    return arrived


def _arrived(there: Sniffer, expected: Sequence[bytes]) -> list[str]:
    """Return what arrives until an honest datagram does.

    The switch may take packets out of turn within one batch, but not across batches: a second honest
    datagram, sent when the first has arrived, comes after all that was sent before.
    """
    seen: list[str] = []
    for frame in there.until(_ARRIVAL_S):
        seen += [data.decode() for data in expected if frame.endswith(data)]
        if _HONEST.decode() in seen:
            break
    return seen


def arp(cluster: EmulatedCluster, given: Sequence[tuple[str, str, str]]) -> list[list[list[str]]]:
    """Ask by ARP from a Pod's interface; return the replies that came to each question.

    Args:
        cluster: the cluster.
        given: for each question the MAC and the address it comes from, and the address it asks for. Empty
            ones are the Pod's own.
    """
    address, mac = _identity(cluster, SENDER)
    told = []
    for sender_mac, sender, target in given:
        with Sniffer(namespace_of(SENDER), "eth0") as wire:
            wire.send(arp_request(sender_mac or mac, sender or address, target or address))
            replies: list[list[str]] = []
            # The answer to a question that must have one ends the wait for those that must not; twice, as
            # the switch may take packets out of turn within one batch.
            for _ in range(2):
                wire.send(arp_request(mac, address, _MARKER))
                replies += _replies(wire)
            told.append(replies)
    return told


_MARKER = "203.0.113.77"


def _replies(wire: Sniffer) -> list[list[str]]:
    replies: list[list[str]] = []
    for frame in wire.until(_ARRIVAL_S):
        reply = arp_reply(frame)
        if reply is not None and reply[0] == _MARKER:
            return replies
        if reply is not None:
            replies.append(list(reply))
    return [*replies, ["no answer at all", ""]]


def fragments(cluster: EmulatedCluster, sizes: Sequence[int]) -> list[Json]:
    """Send long datagrams to a Pod on another node, to its Service, and back, and compare what arrives.

    To the Service from a socket whose first datagram was short: a fragment of the first one has no port by
    which table SERVICE could know it (docs/pipeline.md, Limits).
    """
    found: list[Json] = []
    aims = {
        "Pod": (str(cluster.state.pods["default/afar"].addresses[0]), _OWN_PORT),
        "Service": (str(cluster.state.services["default/afar"].cluster_ips[0]), 99),
    }
    with _datagrams("default/afar", _OWN_PORT) as server:
        for size in sizes:
            with _datagrams(SENDER, 0) as client:
                found.append({"to": "Pod", "bytes": size, **_exchange(client, server, aims["Pod"], size)})
        with _datagrams(SENDER, 0) as client:
            _exchange(client, server, aims["Service"], 1)
            for size in sizes:
                done = _exchange(client, server, aims["Service"], size)
                found.append({"to": "Service, after a short one", "bytes": size, **done})
    return found


def _exchange(client: socket.socket, server: socket.socket, aim: tuple[str, int], size: int) -> Json:
    data = bytes(number % 251 for number in range(size))
    client.sendto(data, aim)
    try:
        there, sender = server.recvfrom(65_536)
        server.sendto(there[::-1], sender)
        back, answerer = client.recvfrom(65_536)
    except TimeoutError:
        return {"there": False, "back": False, "from": ""}
    return {"there": there == data, "back": back == data[::-1], "from": f"{answerer[0]}:{answerer[1]}"}


@contextmanager
def _datagrams(pod: str, port: int) -> Iterator[socket.socket]:
    with entered(namespace_of(pod)):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with opened:
        opened.settimeout(_ARRIVAL_S)
        opened.bind(("", port))
        yield opened


def ping(_cluster: EmulatedCluster, given: Sequence[tuple[str, str]]) -> list[Json]:
    """Ping addresses from namespaces; return how each ended."""
    return [
        tried(source, ["ping", "-n", "-c", "3", "-i", "0.05", "-W", "2", target]) for source, target in given
    ]


def _identity(cluster: EmulatedCluster, pod: str) -> tuple[str, str]:
    address = cluster.state.pods[pod].addresses[0]
    return str(address), pod_mac(address)


SCENARIOS: dict[str, Scenario] = {"spoofing": spoofing, "arp": arp, "fragments": fragments, "ping": ping}

if __name__ == "__main__":
    main(SCENARIOS)
