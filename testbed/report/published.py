"""Published figures whose shape a run may show: sources, workloads, numbers. Data alone.

What is compared are directions and factors, never absolute times: neither machine nor kernel nor the thing
measured is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures were published, what was measured, and what to bear in mind when a run stands beside."""

    title: str
    url: str
    workload: str
    caveat: str


FIRST_PACKET = Source(
    title="First-packet latency of kube-proxy (KEP-3866), Kubernetes blog, 28 February 2025",
    url="https://kubernetes.io/blog/2025/02/28/nftables-kube-proxy/",
    workload=(
        "Latency of the first packet of a connection to a Service, in clusters of 5,000, 10,000 "
        "and 30,000 Services. The figures are read off its charts, those of nftables to no better "
        "than a few microseconds."
    ),
    caveat=(
        "Published is the latency of one packet, of some 10 to 700 µs; a run here times a whole "
        "connection, with the way to the Pod and back in it, so that the same rules make a "
        "smaller factor. There, p01 is about the best place in the chain of rules and p99 the "
        "worst; here the first and the last Service stand for them."
    ),
)
FIRST_PACKET_MS: Mapping[str, Mapping[int, Mapping[str, float]]] = {
    "iptables": {
        5_000: {"p01": 0.016, "p50": 0.049, "p90": 0.12, "p99": 0.15},
        10_000: {"p01": 0.013, "p50": 0.063, "p90": 0.19, "p99": 0.26},
        30_000: {"p01": 0.042, "p50": 0.27, "p90": 0.49, "p99": 0.72},
    },
    "nftables": {
        5_000: {"p01": 0.010, "p50": 0.014, "p90": 0.022, "p99": 0.037},
        10_000: {"p01": 0.010, "p50": 0.014, "p90": 0.022, "p99": 0.037},
        30_000: {"p01": 0.010, "p50": 0.014, "p90": 0.022, "p99": 0.037},
    },
}
"""Service proxy, number of Services and quantile to milliseconds."""

ADDING = Source(
    title=("Latency to add rules, iptables and IPVS, kubernetes/community pull request 692, June 2017"),
    url="https://github.com/kubernetes/community/pull/692",
    workload=(
        "Time to add rules with iptables and with ipvsadm, at 1, 5,000 and 20,000 Services of 8 "
        "rules each. It is commonly quoted as the time to add one Service; the source leaves open "
        "whether it is that of all of them."
    ),
    caveat=(
        "The iptables mode of 2017 wrote every rule anew at every change. Today's, which the "
        "testbed follows, leaves the chains of Services that did not change alone (KEP-3453: "
        "tried in Kubernetes 1.26, the default since 1.27, without a switch since 1.28) and "
        "writes what changed and the one chain that lists all Services. So growth is to be "
        "expected, and its published size is not."
    ),
)
ADDING_S: Mapping[str, Mapping[int, float]] = {"iptables": {1: 0.002, 5_000: 660.0, 20_000: 18_000.0}}
"""Service proxy and number of Services to seconds. IPVS has no numbers: near constant, it says."""

UPDATING = Source(
    title=("Time to program rules, the same Kubernetes blog, 28 February 2025, in words without figures"),
    url=FIRST_PACKET.url,
    workload=(
        "What an update costs: with iptables in proportion to all Services, though by a smaller "
        "constant since 1.26; with nftables in proportion to what changed, however many Services "
        "there are."
    ),
    caveat="",
)
