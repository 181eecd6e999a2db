"""Latency clients that idle together: who is held, who is not, and that a held trial reads like any other."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path as FilePath

from replaying_host import FakeClock, FakeHost, recorded

from testbed.measurement.head_start import Candidate, HeadStart
from testbed.measurement.host import Completed, Path, Pinning
from testbed.measurement.surroundings import Surroundings
from testbed.measurement.trial import run_trial
from testbed.measurement.workload import Workload
from testbed.records.schema import TrialStatus

LATENCY = Workload("rtt", "latency", ("TCP", "UDP"), ("pod-same-node",), duration_s=1.5, warmup_s=0.4)
CONNECT = Workload("connect", "connect", ("TCP",), (), count=50)


def path_of(name: str, client: FakeHost, server: FakeHost, server_port: int) -> Path:
    return Path(name, client, (server,), ip_address("10.96.0.7"), 8101, server_port)


def candidate(index: int, server: str, *, workload: Workload = LATENCY, port: int = 11111) -> Candidate:
    path = path_of(f"path-{index}", FakeHost("ns/client"), FakeHost(server), port)
    return Candidate(index, workload, "UDP" if workload is LATENCY else "TCP", path)


def around(scratch: FilePath) -> Surroundings:
    return Surroundings(Pinning(0, 1), scratch, FakeClock())


def client_of(each: Candidate) -> FakeHost:
    assert isinstance(each.path.client, FakeHost)
    return each.path.client


def verbs(host: FakeHost) -> list[str]:
    return [verb for verb, _, _ in host.journal]


def test_clients_that_idle_are_held_and_others_are_left_alone(tmp_path: FilePath) -> None:
    latency, connect = candidate(0, "ns/a"), candidate(1, "ns/b", workload=CONNECT)
    with HeadStart(around(tmp_path)) as head_start:
        head_start.begin([latency, connect])
        assert client_of(latency).program.is_held
        assert verbs(client_of(connect)) == []
        assert head_start.take(1) is None
        held = head_start.take(0)
        assert held is not None
        assert head_start.take(0) is None
        held.resources.close()
    assert verbs(client_of(latency)) == ["start", "stop"]


def test_trials_that_would_share_a_servers_socket_have_no_head_start(tmp_path: FilePath) -> None:
    pair = [candidate(0, "ns/a"), candidate(1, "ns/a"), candidate(2, "ns/a", port=11112)]
    with HeadStart(around(tmp_path)) as head_start:
        head_start.begin(pair)
        assert [verbs(client_of(each)) for each in pair] == [[], [], ["start"]]


def test_a_client_stopped_too_late_is_ended_and_not_used(tmp_path: FilePath) -> None:
    surroundings = around(tmp_path)
    late = candidate(0, "ns/a")
    host = client_of(late)

    def hold_late() -> bool:
        surroundings.clock.pause(5.0)
        return True

    host.program.hold = hold_late  # type: ignore[method-assign] # a fake that dawdles
    with HeadStart(surroundings) as head_start:
        head_start.begin([late])
        assert head_start.take(0) is None
    assert verbs(host) == ["start", "stop"]


def test_what_was_not_taken_is_ended(tmp_path: FilePath) -> None:
    each = candidate(0, "ns/a")
    with HeadStart(around(tmp_path)) as head_start:
        head_start.begin([each])
    assert verbs(client_of(each)) == ["start", "stop"]


def test_a_held_trial_goes_on_and_reads_like_any_other(tmp_path: FilePath) -> None:
    surroundings = around(tmp_path)
    each = candidate(0, "ns/a")
    host = client_of(each)
    with HeadStart(surroundings) as head_start:
        head_start.begin([each])
        held = head_start.take(0)
        assert held is not None
        host.program.reply = reply_to(held.exchange.client_argv)
        outcome = run_trial(LATENCY, "UDP", each.path, surroundings=surroundings, held=held)
    assert outcome.status is TrialStatus.OK, outcome.error
    assert len(outcome.samples["rtt_us"]) == 150
    assert not host.program.is_held
    assert verbs(host) == ["start", "stop"]
    assert list(tmp_path.iterdir()) == []


def test_a_held_client_that_never_ends_is_a_failed_outcome(tmp_path: FilePath) -> None:
    surroundings = around(tmp_path)
    each = candidate(0, "ns/a")
    with HeadStart(surroundings) as head_start:
        head_start.begin([each])
        held = head_start.take(0)
        assert held is not None
        outcome = run_trial(LATENCY, "UDP", each.path, surroundings=surroundings, held=held)
    assert outcome.status is TrialStatus.FAILED
    assert "to end" in outcome.error


def reply_to(argv: Sequence[str]) -> Completed:
    log = FilePath(argv[list(argv).index("--full-log") + 1])
    log.write_text(recorded("sockperf-udp.csv"), encoding="utf-8")
    return Completed(tuple(argv), 0, recorded("sockperf-udp.txt"), "")
