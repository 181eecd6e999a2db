"""What a run leaves behind, as values. `store.py` writes and reads them; nothing here touches a file.

A run is a list of trials in the order they were carried out. A trial is one measurement over one path in one
repeat of one variant. Its raw samples are rows of a table:

    samples   columns  trial     int32    index of the trial in RunRecord.trials
                       metric    category, one of METRICS
                       sequence  int32    position within the trial and metric, from 0
                       value     float64  in the unit that the metric's name ends in

Latency and ping give rtt_us (whole round trip), connect gives connect_us (SYN to connected), throughput gives
throughput_bps (payload received per interval, all streams added up). Programming gives two samples for each
Service that it adds: programming_us (until every node has it in force) and first_connection_us (until a
connection to it succeeded), both from the moment at which the change began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SCHEMA_VERSION = 1

METRICS = {
    "latency": "rtt_us",
    "ping": "rtt_us",
    "connect": "connect_us",
    "throughput": "throughput_bps",
    "programming": "programming_us",
    "first-connection": "first_connection_us",
}
"""What is sampled to the metric of its samples: the measurement types, and programming's second sample."""

RAW_VETH = "raw-veth"
"""The path that figures are compared with: two namespaces joined by one veth pair, in the same repeat.

Measurements of type programming have no such baseline: without a cluster there is nothing to program.
"""


class TrialStatus(StrEnum):
    """How a trial ended. A failed trial is a row with its error; it is never retried and never left out."""

    OK = "ok"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class HostLoad:
    """What the machine did during a trial: whether the emulation could keep up.

    Fractions are of all processors' time, 0 to 1. `stolen` is time the hypervisor took away. `stalled` is
    the share of wall time in which some runnable task waited for a processor (PSI "some"); NaN where the
    kernel has no PSI. `packets_dropped` counts packets that the kernel's per-processor backlog refused
    (/proc/net/softnet_stat).
    """

    busy: float
    stolen: float
    stalled: float
    packets_dropped: int


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One measurement over one path in one repeat of one variant.

    `variant` is a readable label of the swept values ("" when nothing is swept) and `settings` the values
    themselves: by dotted path, or by the name of an axis to the label that was chosen there. `started_s`
    counts from the start of the run. `summary` holds what the tool itself reports beside samples
    (retransmits, lost_packets, sent_packets, ...), in the units of the names.
    """

    variant: str
    settings: Mapping[str, str | int | float | bool]
    repeat: int
    measurement: str
    type: str
    protocol: str
    path: str
    client: str
    server: str
    target: str
    argv: tuple[str, ...]
    started_s: float
    duration_s: float
    status: TrialStatus
    error: str = ""
    summary: Mapping[str, float] = field(default_factory=dict)
    host_load: HostLoad | None = None


@dataclass(frozen=True, slots=True)
class TopologyLink:
    """A link of the drawing; `label` says its shape ("1 Gbit/s, 5 ms"), empty when unshaped."""

    a: str
    b: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class TopologyDrawing:
    """What the picture of the topology shows: node and switch names, links, and Pods per node."""

    switches: tuple[str, ...]
    routers: tuple[str, ...]
    nodes: tuple[str, ...]
    links: tuple[TopologyLink, ...]
    pods: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class CellRecord:
    """One building of the network: a variant in a repeat; `datapath_type` is Open vSwitch's, or ""."""

    variant: str
    repeat: int
    datapath_type: str
    build_s: float
    nodes: int
    pods: int
    services: int
    mtu_bytes: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the run ran on. All values are text, so that a record outlives the tools that wrote it."""

    testbed_version: str
    git_commit: str
    kernel: str
    engine: str
    processor: str
    processors: int
    memory_mib: int
    programs: Mapping[str, str]
    packages: Mapping[str, str]
    sysctls: Mapping[str, str]
    offloads: Mapping[str, str]
    pinning: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A whole run. `spec` is the experiment after defaulting, as it would be written in YAML."""

    schema_version: int
    experiment: str
    description: str
    spec: Mapping[str, object]
    seed: int
    started: str
    finished: str
    command: tuple[str, ...]
    provenance: Provenance
    drawing: TopologyDrawing
    cells: tuple[CellRecord, ...]
    trials: tuple[TrialRecord, ...]
    warnings: tuple[str, ...] = ()
