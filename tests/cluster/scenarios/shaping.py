"""Scenarios of shaped links: how fast, how lossy and how long their queues are, by tools of others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scenarios.stage import Scenario, main, namespace_of, poll_until, tried

from testbed.cluster.underlay import LinkKind
from testbed.drivers.shell import run
from testbed.emulation.cluster import EmulatedCluster
from testbed.inet import Protocol
from testbed.runner.hosts import NamespaceHost

CLIENT, SERVER = "default/client", "default/server"
_PORT = 5201
Json = dict[str, Any]


def throughput(cluster: EmulatedCluster, seconds: float) -> float:
    """Return the bit rate of a TCP stream between two Pods, as the receiver counts it."""
    with _server(cluster):
        address = str(cluster.state.pods[SERVER].addresses[0])
        argv = ["iperf3", "-c", address, "-p", str(_PORT), "-t", str(seconds), "-O", "1", "-J"]
        report = json.loads(run(argv, namespace=namespace_of(CLIENT)))
    return float(report["end"]["sum_received"]["bits_per_second"])


@contextmanager
def _server(cluster: EmulatedCluster) -> Iterator[None]:
    host = NamespaceHost(SERVER, namespace_of(SERVER), cluster.processes)
    with host.start(["iperf3", "-s", "-p", str(_PORT)]):
        poll_until("iperf3 to listen", lambda: host.is_listening(Protocol.TCP, _PORT))
        yield


def loss(cluster: EmulatedCluster, packets: int) -> Json:
    """Ping a Pod from another; return how the tool ended."""
    argv = ["ping", "-n", "-q", "-c", str(packets), "-i", "0.003", "-W", "1"]
    return tried(namespace_of(CLIENT), [*argv, str(cluster.state.pods[SERVER].addresses[0])])


def queues(cluster: EmulatedCluster, _given: object) -> list[Json]:
    """Return queueing disciplines and classes at both ends of every link between switches."""
    ends = [
        end for link in cluster.underlay.links if link.kind is LinkKind.FABRIC for end in (link.a, link.b)
    ]
    return [
        {
            "qdiscs": json.loads(run(["tc", "-json", "qdisc", "show", "dev", end.interface])),
            "classes": run(["tc", "class", "show", "dev", end.interface]),
        }
        for end in ends
    ]


SCENARIOS: dict[str, Scenario] = {"throughput": throughput, "loss": loss, "queues": queues}

if __name__ == "__main__":
    main(SCENARIOS)
