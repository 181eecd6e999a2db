"""The real tools between two network namespaces: what parsers and trials believe about them is still so."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path as FilePath
from typing import IO

import pytest

from testbed.errors import NotReady
from testbed.inet import Protocol
from testbed.measurement.clock import RunClock
from testbed.measurement.host import Completed, Path, Pinning
from testbed.measurement.surroundings import Surroundings
from testbed.measurement.trial import TrialOutcome, run_trial
from testbed.measurement.workload import Workload
from testbed.records.schema import METRICS, TrialStatus

pytestmark = pytest.mark.cluster

SERVER_ADDRESS = "10.77.1.2"
PORT = 9100


class Program:
    def __init__(self, process: subprocess.Popen[bytes], printed: IO[bytes]) -> None:
        self._process = process
        self._printed = printed

    def poll(self) -> int | None:
        return self._process.poll()

    def output(self) -> str:
        return FilePath(self._printed.name).read_text(encoding="utf-8", errors="replace")


class NamespaceHost:
    """A named network namespace."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, argv: Sequence[str], *, timeout_s: float, cpu: int | None = None) -> Completed:
        try:
            ended = subprocess.run(
                self._inside(argv, cpu), capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise NotReady(f"{argv[0]} to end", timeout_s, error.stdout, where=self.name) from error
        return Completed(tuple(argv), ended.returncode, ended.stdout, ended.stderr)

    @contextmanager
    def start(self, argv: Sequence[str], *, cpu: int | None = None) -> Iterator[Program]:
        with tempfile.NamedTemporaryFile() as printed:
            process = subprocess.Popen(self._inside(argv, cpu), stdout=printed, stderr=printed)
            try:
                yield Program(process, printed)
            finally:
                if process.poll() is None:
                    os.kill(process.pid, signal.SIGTERM)
                process.wait(timeout=10)

    def is_listening(self, protocol: Protocol, port: int) -> bool:
        kind = "-ltnH" if protocol is Protocol.TCP else "-lunH"
        listing = self.run(["ss", kind, f"sport = :{port}"], timeout_s=5).stdout
        return bool(listing.strip())

    def _inside(self, argv: Sequence[str], cpu: int | None) -> list[str]:
        pinned = [] if cpu is None else ["taskset", "-c", str(cpu)]
        return ["ip", "netns", "exec", self.name, *pinned, *argv]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture(scope="module")
def ends() -> Iterator[tuple[NamespaceHost, NamespaceHost]]:
    client, server = f"mz-a{os.getpid()}", f"mz-b{os.getpid()}"
    try:
        for namespace in (client, server):
            ip("netns", "add", namespace)
        ip("link", "add", "eth0", "netns", client, "type", "veth", "peer", "name", "eth0", "netns", server)
        for namespace, address in ((client, "10.77.1.1/24"), (server, f"{SERVER_ADDRESS}/24")):
            ip("-n", namespace, "addr", "add", address, "dev", "eth0")
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", namespace, "link", "set", "eth0", "up")
        yield NamespaceHost(client), NamespaceHost(server)
    finally:
        for namespace in (client, server):
            subprocess.run(["ip", "netns", "del", namespace], check=False)


def measure(
    workload: Workload,
    protocol: str,
    ends: tuple[NamespaceHost, NamespaceHost],
    scratch_dir: FilePath,
    port: int = PORT,
    server_port: int = PORT,
) -> TrialOutcome:
    client, server = ends
    path = Path("raw-veth", client, (server,), ip_address(SERVER_ADDRESS), port, server_port)
    last = (os.cpu_count() or 1) - 1
    return run_trial(
        workload, protocol, path, surroundings=Surroundings(Pinning(0, last), scratch_dir, RunClock())
    )


WORKLOADS = {
    "latency": Workload("rtt", "latency", ("TCP", "UDP"), (), duration_s=0.5, warmup_s=0.4),
    "throughput": Workload(
        "bulk", "throughput", ("TCP", "UDP"), (), duration_s=1, warmup_s=0.5, interval_s=0.25, streams=2
    ),
    "connect": Workload("connect", "connect", ("TCP",), (), count=2000),
    "ping": Workload("ping", "ping", ("ICMP",), (), count=20, interval_s=0.01, warmup_s=0.05),
}
LEAST_SAMPLES = {"latency": 100, "throughput": 4, "connect": 2000, "ping": 15}


@pytest.mark.parametrize(
    ("kind", "protocol"),
    [
        ("latency", "TCP"),
        ("latency", "UDP"),
        ("throughput", "TCP"),
        ("throughput", "UDP"),
        ("connect", "TCP"),
        ("ping", "ICMP"),
    ],
)
def test_each_tool_measures(
    kind: str, protocol: str, ends: tuple[NamespaceHost, NamespaceHost], tmp_path: FilePath
) -> None:
    outcome = measure(WORKLOADS[kind], protocol, ends, tmp_path)
    assert outcome.status is TrialStatus.OK, outcome.error
    samples = outcome.samples[METRICS[kind]]
    assert len(samples) >= LEAST_SAMPLES[kind]
    assert (samples > 0).all()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "protocol", "error"),
    [
        ("latency", "TCP", "Connection refused"),
        ("latency", "UDP", "No messages were received"),
        ("throughput", "TCP", "Connection refused"),
        ("connect", "TCP", "ECONNREFUSED 2000 times"),
    ],
)
def test_a_port_that_nobody_answers_is_a_failed_outcome(
    kind: str, protocol: str, error: str, ends: tuple[NamespaceHost, NamespaceHost], tmp_path: FilePath
) -> None:
    outcome = measure(WORKLOADS[kind], protocol, ends, tmp_path, port=PORT + 1)
    assert outcome.status is TrialStatus.FAILED
    assert error in outcome.error


def test_a_port_that_is_taken_is_a_failed_outcome(
    ends: tuple[NamespaceHost, NamespaceHost], tmp_path: FilePath
) -> None:
    taken = PORT + 2
    with ends[1].start(["iperf3", "-s", "-p", str(taken)]) as foreign:
        while not ends[1].is_listening(Protocol.TCP, taken):
            assert foreign.poll() is None, foreign.output()
        outcome = measure(WORKLOADS["throughput"], "TCP", ends, tmp_path, port=taken, server_port=taken)
    assert outcome.status is TrialStatus.FAILED
    assert "Address already in use" in outcome.error
