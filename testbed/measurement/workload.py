"""What one measurement of an experiment asks for, as plain values. spec owns the YAML's form of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.records.schema import RAW_VETH

if TYPE_CHECKING:
    from testbed.spec.measurement import MeasurementSpec

LATENCY = "latency"
THROUGHPUT = "throughput"
CONNECT = "connect"
PING = "ping"
PROGRAMMING = "programming"

PROTOCOLS_OF_TYPE = {
    LATENCY: ("TCP", "UDP"),
    THROUGHPUT: ("TCP", "UDP"),
    CONNECT: ("TCP",),
    PING: ("ICMP",),
    PROGRAMMING: ("TCP",),
}
"""Which protocols each measurement type can be carried out over; programming tries TCP connections."""

GIVEN_ENDS = "given-ends"
"""The path between the ends that an experiment names itself (`from` and `to`), beside those of the matrix."""

THROUGHPUT_SAMPLE_S = 0.25
LEAST_THROUGHPUT_SAMPLES = 4
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Workload:
    """One measurement: which tool's work, over which paths, and how much of it.

    `paths` are all of them, raw veth among them where the type has that baseline. `message_bytes` None leaves
    the size to the tool: iperf3 takes 128 KiB writes for TCP and datagrams that fit the path for UDP.
    `bandwidth_bps` is UDP's, the sum over all streams; None is as fast as it goes. `count` is connections
    (connect), requests (ping) or Services (programming); `interval_s` is between requests (ping) or the span
    of one sample (throughput).
    """

    name: str
    type: str
    protocols: tuple[str, ...]
    paths: tuple[str, ...]
    duration_s: float = 2.0
    warmup_s: float = 0.5
    message_bytes: int | None = None
    streams: int = 1
    count: int = 2000
    interval_s: float = 0.1
    bandwidth_bps: float | None = None


def workload_from_spec(spec: MeasurementSpec) -> Workload:
    """Return what a measurement of an experiment asks for, without the settings its type does not have."""
    interval_s = spec.interval / NANOSECONDS if spec.type == PING else _sample_s(spec.duration / NANOSECONDS)
    return Workload(
        name=spec.name,
        type=spec.type,
        protocols=tuple(str(protocol) for protocol in spec.protocols) or PROTOCOLS_OF_TYPE[spec.type],
        paths=spec.paths if spec.target is None else (RAW_VETH, GIVEN_ENDS),
        duration_s=spec.duration / NANOSECONDS,
        warmup_s=spec.warmup / NANOSECONDS,
        message_bytes=spec.message_size if spec.type == LATENCY else None,
        streams=spec.streams,
        count=spec.count,
        interval_s=interval_s,
        bandwidth_bps=spec.bandwidth or None,
    )


def _sample_s(duration_s: float) -> float:
    """Return the span of one sample of throughput: short enough for a few of them."""
    return min(THROUGHPUT_SAMPLE_S, duration_s / LEAST_THROUGHPUT_SAMPLES)
