"""The course of a trial over hosts that replay recordings: order, failures as outcomes, clean scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path as FilePath

import pytest
from replaying_host import FakeClock, FakeHost, FakeProgram, recorded

from testbed.measurement.host import Completed, Path, Pinning
from testbed.measurement.plan import plan_trials
from testbed.measurement.surroundings import Surroundings
from testbed.measurement.trial import TrialOutcome, run_trial, trial_record
from testbed.measurement.workload import Workload
from testbed.records.schema import METRICS, TrialStatus

LATENCY = Workload("rtt", "latency", ("TCP", "UDP"), ("pod-same-node",), duration_s=1.5, warmup_s=0.4)
THROUGHPUT = Workload(
    "bulk", "throughput", ("TCP",), ("hairpin",), duration_s=1.5, warmup_s=0.5, interval_s=0.25, streams=2
)
CONNECT = Workload("connect", "connect", ("TCP",), (), count=50)
PING = Workload("ping", "ping", ("ICMP",), (), count=19, interval_s=0.01, warmup_s=0)


def completed(argv: Sequence[str], stdout: str, status: int = 0, stderr: str = "") -> Completed:
    return Completed(tuple(argv), status, stdout, stderr)


def sockperf_reply(argv: Sequence[str]) -> Completed:
    log = FilePath(argv[list(argv).index("--full-log") + 1])
    log.write_text(recorded("sockperf-udp.csv"), encoding="utf-8")
    return completed(argv, recorded("sockperf-udp.txt"))


def replying(name: str, status: int = 0) -> FakeHost:
    return FakeHost("ns/client", lambda argv: completed(argv, recorded(name), status))


def path_between(client: FakeHost, server: FakeHost) -> Path:
    return Path("pod-same-node", client, (server,), ip_address("10.96.0.7"), 8101, 11111)


def carry_out(
    workload: Workload, protocol: str, client: FakeHost, server: FakeHost, scratch_dir: FilePath
) -> TrialOutcome:
    path = path_between(client, server)
    return run_trial(
        workload, protocol, path, surroundings=Surroundings(Pinning(0, 1), scratch_dir, FakeClock())
    )


def test_a_latency_trial_starts_waits_measures_and_leaves_nothing(tmp_path: FilePath) -> None:
    client, server = FakeHost("ns/client", sockperf_reply), FakeHost("ns/server")
    server.looks_until_listening = 3
    outcome = carry_out(LATENCY, "UDP", client, server, tmp_path)
    assert outcome.status is TrialStatus.OK, outcome.error
    assert len(outcome.samples[METRICS["latency"]]) == 150
    assert [(verb, cpu) for verb, _, cpu in server.journal] == [("start", 1), ("stop", 1)]
    assert client.journal == [("run", outcome.argv, 0)]
    assert (outcome.client, outcome.server, outcome.target) == ("ns/client", "ns/server", "10.96.0.7:8101")
    assert outcome.host_load is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("workload", "recording"),
    [(THROUGHPUT, "iperf3-tcp.json"), (CONNECT, "connect.json"), (PING, "ping.txt")],
)
def test_each_type_gives_its_metric(workload: Workload, recording: str, tmp_path: FilePath) -> None:
    outcome = carry_out(workload, workload.protocols[0], replying(recording), FakeHost("ns/server"), tmp_path)
    assert outcome.error == ""
    assert list(outcome.samples) == [METRICS[workload.type]]


def test_ping_starts_no_server(tmp_path: FilePath) -> None:
    server = FakeHost("ns/server")
    carry_out(PING, "ICMP", replying("ping.txt"), server, tmp_path)
    assert server.journal == []


@pytest.mark.parametrize(
    ("workload", "recording", "status", "error"),
    [
        (LATENCY, "sockperf-udp-no-server.txt", 0, "No messages were received"),
        (LATENCY, "sockperf-tcp-no-server.txt", 7, "ended with status 7: .*Connection refused"),
        (THROUGHPUT, "iperf3-refused.json", 0, "Connection refused"),
        (CONNECT, "connect-refused.json", 0, "gave up after 5 of 50"),
        (PING, "ping-no-reply.txt", 1, "none of 3 requests was answered"),
        (PING, "ping-unreachable.txt", 2, "ended with status 2: ping: connect: Network is unreachable"),
    ],
)
def test_a_client_that_fails_makes_a_failed_outcome(
    workload: Workload, recording: str, status: int, error: str, tmp_path: FilePath
) -> None:
    client = replying(recording, status)
    outcome = carry_out(workload, workload.protocols[0], client, FakeHost("ns/server"), tmp_path)
    assert outcome.status is TrialStatus.FAILED
    assert_error(outcome, error)
    assert (dict(outcome.samples), dict(outcome.summary)) == ({}, {})
    assert len(client.journal) == 1  # never retried


def assert_error(outcome: TrialOutcome, pattern: str) -> None:
    with pytest.raises(RuntimeError, match=pattern):
        raise RuntimeError(outcome.error)


def test_a_client_that_never_ends_is_a_failed_outcome_with_its_load(tmp_path: FilePath) -> None:
    (tmp_path / "sockperf-rtt-TCP-pod-same-node.csv").write_text("half a log", encoding="utf-8")
    outcome = carry_out(LATENCY, "TCP", FakeHost("ns/client"), FakeHost("ns/server"), tmp_path)
    assert_error(outcome, "waited .* for sockperf to end")
    assert outcome.host_load is not None
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_dies_at_once_says_what_it_printed(tmp_path: FilePath) -> None:
    server = FakeHost("ns/server")
    server.looks_until_listening = None
    server.program = FakeProgram(1, "bind: Address already in use\n")
    client = replying("connect.json")
    outcome = carry_out(CONNECT, "TCP", client, server, tmp_path)
    assert_error(outcome, "server on ns/server ended with status 1; it printed: bind: Address already in use")
    assert client.journal == []
    assert outcome.host_load is None


def test_a_server_that_dies_under_the_client_is_named_beside_the_clients_complaint(
    tmp_path: FilePath,
) -> None:
    server = FakeHost("ns/server")
    server.program = FakeProgram(-9, "")
    outcome = carry_out(THROUGHPUT, "TCP", replying("iperf3-server-died.json"), server, tmp_path)
    assert_error(outcome, "server has terminated; the server on ns/server ended with status -9")


def test_a_server_that_dies_while_another_one_answers_is_a_failure(tmp_path: FilePath) -> None:
    server = FakeHost("ns/server")
    server.program = FakeProgram(1, "Address already in use")
    outcome = carry_out(THROUGHPUT, "TCP", replying("iperf3-tcp.json"), server, tmp_path)
    assert outcome.status is TrialStatus.FAILED
    assert dict(outcome.samples) == {}


def test_a_server_that_never_listens_is_waited_for_only_so_long(tmp_path: FilePath) -> None:
    server = FakeHost("ns/server")
    server.looks_until_listening = None
    server.program = FakeProgram(None, "still thinking")
    outcome = carry_out(LATENCY, "UDP", replying("sockperf-udp.txt"), server, tmp_path)
    assert_error(outcome, "waited 10 s for sockperf to listen on UDP port 11111; last seen: still thinking")
    assert [verb for verb, _, _ in server.journal] == ["start", "stop"]


def test_a_planned_trial_and_its_outcome_make_a_row(tmp_path: FilePath) -> None:
    planned = plan_trials({"vxlan": [replace(PING, paths=("raw-veth",))]}, repeats=1, seed=1)[0]
    outcome = carry_out(PING, "ICMP", replying("ping.txt"), FakeHost("ns/server"), tmp_path)
    row = trial_record(planned, {"encapsulation": "vxlan"}, outcome)
    assert (row.variant, row.repeat, row.measurement, row.type) == ("vxlan", 0, "ping", "ping")
    assert (row.protocol, row.path, row.status) == ("ICMP", "raw-veth", TrialStatus.OK)
    assert row.argv == outcome.argv
