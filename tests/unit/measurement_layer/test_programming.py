"""Programming latency over a cluster that is simulated, and the watch that is its client over loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path as FilePath
from time import monotonic_ns

import pytest
from replaying_host import FakeClock, FakeHost, FakeProgram

from testbed.errors import NotReady, RunFailed
from testbed.measurement.errors import ToolOutputError
from testbed.measurement.host import Completed, Path, Pinning
from testbed.measurement.programming import (
    Added,
    ServiceChanger,
    parse_watch,
    programming_exchange,
    read_programming,
)
from testbed.measurement.readings import Readings
from testbed.measurement.service_watch import ATTEMPTS_UNTIL_DOWN, DOWN, INTERVAL_NS, UP, Watch
from testbed.measurement.surroundings import Surroundings
from testbed.measurement.trial import TrialOutcome, run_trial
from testbed.measurement.workload import Workload
from testbed.records.schema import METRICS, TrialStatus

CHANGE = Workload("change", "programming", ("TCP",), ("new-service",), count=3)
MS = 1_000_000


class Cluster(ServiceChanger):
    """A cluster with one Service that comes and goes, and what a watch of it prints.

    A change takes 10 ms until it is in force; the Service answers 4 ms after a change began.
    """

    address = IPv4Address("10.96.0.9")
    port = 8103

    def __init__(self) -> None:
        self.time_ns = 1000 * MS
        self.turns = [(DOWN, self.time_ns)]
        self.journal: list[str] = []
        self.fails_to: str = ""
        self.never_turns: str = ""

    def now_ns(self) -> int:
        return self.time_ns

    def add(self) -> None:
        self._change("add", UP)

    def remove(self) -> None:
        self._change("remove", DOWN)

    def _change(self, verb: str, state: str) -> None:
        if self.fails_to == verb:
            raise RunFailed(f"node2 does not {verb} it")
        self.journal.append(verb)
        if self.never_turns != state:
            self.turns.append((state, self.time_ns + 4 * MS))
        self.time_ns += 10 * MS

    def printed(self) -> str:
        return "".join(f"{state} {time}\n" for state, time in self.turns)


class Watching(FakeProgram):
    """The watch of a simulated cluster."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(None, "")
        self.cluster = cluster

    def output(self) -> str:
        return self.cluster.printed()


def path_to(cluster: Cluster, client: FakeHost, server: FakeHost) -> Path:
    return Path("new-service", client, (server,), cluster.address, cluster.port, 7001)


def measured(cluster: Cluster) -> Readings:
    client, server, clock = FakeHost("ns/client"), FakeHost("ns/server"), FakeClock()
    exchange = programming_exchange(CHANGE, path_to(cluster, client, server), cluster, now_ns=cluster.now_ns)
    assert exchange.attend is not None
    exchange.attend(Watching(cluster), clock)
    return exchange.read(Completed(exchange.client_argv, 0, cluster.printed(), ""))


def trial(cluster: Cluster, tmp_path: FilePath) -> tuple[TrialOutcome, FakeHost, FakeHost]:
    client, server = FakeHost("ns/client"), FakeHost("ns/server")
    client.program = Watching(cluster)
    outcome = run_trial(
        CHANGE,
        "TCP",
        path_to(cluster, client, server),
        surroundings=Surroundings(Pinning(0, 1), tmp_path, FakeClock()),
        changer=cluster,
    )
    return outcome, client, server


def test_every_change_gives_both_samples() -> None:
    cluster = Cluster()
    readings = measured(cluster)
    assert readings.samples[METRICS["programming"]].tolist() == [10_000.0] * 3
    assert readings.samples[METRICS["first-connection"]].tolist() == [4_000.0] * 3
    assert cluster.journal == ["add", "remove"] * 3
    assert readings.summary == {"added_services": 3.0}


def test_a_trial_starts_server_and_watch_and_ends_both(tmp_path: FilePath) -> None:
    cluster = Cluster()
    cluster.time_ns = monotonic_ns()
    outcome, client, server = trial(cluster, tmp_path)
    assert [(verb, cpu) for verb, _, cpu in client.journal] == [("start", 0), ("stop", 0)]
    assert [(verb, cpu) for verb, _, cpu in server.journal] == [("start", 1), ("stop", 1)]
    assert outcome.argv[:2] == ("python", "-I")
    assert outcome.argv[2:] == ("testbed/measurement/service_watch.py", "10.96.0.9", "8103")
    assert (outcome.target, outcome.server) == ("10.96.0.9:8103", "ns/server")
    assert cluster.journal == ["add", "remove"] * 3
    assert outcome.host_load is not None


@pytest.mark.parametrize(
    ("fails_to", "never_turns", "error", "journal"),
    [
        ("add", "", "node2 does not add it", []),
        ("remove", "", "node2 does not remove it", ["add"]),
        ("", UP, "waited 20 s for the added Service to answer", ["add", "remove"]),
        ("", DOWN, "waited 20 s for the removed Service to answer no more", ["add", "remove"]),
    ],
)
def test_a_change_that_fails_is_a_failed_row_and_leaves_no_service_behind(
    fails_to: str, never_turns: str, error: str, journal: list[str], tmp_path: FilePath
) -> None:
    cluster = Cluster()
    cluster.fails_to, cluster.never_turns = fails_to, never_turns
    outcome, client, _ = trial(cluster, tmp_path)
    assert outcome.status is TrialStatus.FAILED
    assert error in outcome.error
    assert cluster.journal == journal
    assert not outcome.samples
    assert [verb for verb, _, _ in client.journal] == ["start", "stop"]


def test_a_service_that_answers_beforehand_is_a_failure() -> None:
    cluster = Cluster()
    cluster.turns = [(UP, cluster.time_ns)]
    with pytest.raises(ToolOutputError, match="waited for the Service that is to be added not to answer yet"):
        measured(cluster)
    assert cluster.journal == []


def test_a_watch_that_ends_is_a_failure_with_its_last_words() -> None:
    cluster = Cluster()
    cluster.turns = []
    exchange = programming_exchange(
        CHANGE, path_to(cluster, FakeHost("c"), FakeHost("s")), cluster, now_ns=cluster.now_ns
    )
    assert exchange.attend is not None
    with pytest.raises(ToolOutputError, match="it ended with status 1; it printed: Traceback"):
        exchange.attend(FakeProgram(1, "Traceback"), FakeClock())
    with pytest.raises(NotReady, match="0 turns, and no other"):
        exchange.attend(FakeProgram(None, ""), FakeClock())


def test_a_torn_line_is_not_read_yet_and_another_language_is_refused() -> None:
    assert parse_watch("down 12\nup 3") == [(DOWN, 12)]
    assert parse_watch("down 12\nup 34\n") == [(DOWN, 12), (UP, 34)]
    with pytest.raises(ToolOutputError, match="something other than turns"):
        parse_watch("Traceback (most recent call last):\n")


@pytest.mark.parametrize(
    ("printed", "error"),
    [
        ("down 5\n", "0 of 1 Services were seen to answer"),
        ("down 5\nup 20\ndown 30\nup 40\n", "2 of 1 Services were seen to answer"),
        ("down 5\nup 9\n", "the Service answered before it was added"),
    ],
)
def test_a_watch_that_does_not_fit_the_changes(printed: str, error: str) -> None:
    with pytest.raises(ToolOutputError, match=error):
        read_programming(printed, [Added(began_ns=10, in_force_ns=15)])


# --- the watch itself ---


@pytest.fixture
def free_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    yield port


def attempts(watch: Watch, count: int) -> None:
    for _ in range(count):
        now_ns = monotonic_ns()
        watch.begin(now_ns)
        watch.wait(now_ns + INTERVAL_NS // 4)


def test_the_watch_tells_each_turn_once(free_port: int) -> None:
    told: list[tuple[str, int]] = []
    watch = Watch("127.0.0.1", free_port, lambda state, now_ns: told.append((state, now_ns)))
    attempts(watch, ATTEMPTS_UNTIL_DOWN - 1)
    assert told == []
    attempts(watch, 10)
    assert [state for state, _ in told] == [DOWN]
    with socket.create_server(("127.0.0.1", free_port), backlog=100):
        began_ns = monotonic_ns()
        attempts(watch, 10)
        assert [state for state, _ in told] == [DOWN, UP]
        assert began_ns < told[-1][1] < monotonic_ns()
    attempts(watch, ATTEMPTS_UNTIL_DOWN)
    assert [state for state, _ in told] == [DOWN, UP, DOWN]


def test_the_watch_gives_up_what_is_not_answered() -> None:
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # no room for another: SYNs are dropped
            watch = Watch("127.0.0.1", port, lambda state, _: told.append(state))
            began_ns = monotonic_ns() - 10**9
            for _ in range(ATTEMPTS_UNTIL_DOWN):
                watch.begin(began_ns)
            watch.wait(monotonic_ns())
    assert told == [DOWN]
