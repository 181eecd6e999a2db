"""Parsers of tool output against recordings, cut recordings and arbitrary text."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replaying_host import recorded

from testbed.measurement.connect import parse_connect
from testbed.measurement.errors import ToolOutputError
from testbed.measurement.iperf3 import parse_iperf3
from testbed.measurement.ping import parse_ping
from testbed.measurement.readings import Readings
from testbed.measurement.sockperf import parse_sockperf, whole_run_s


def sockperf(name: str, *, duration_s: float = 1.5, warmup_s: float = 0.4) -> Readings:
    log = recorded(f"{name}.csv") if name not in {"sockperf-tcp-no-server"} else ""
    return parse_sockperf(recorded(f"{name}.txt"), log, duration_s=duration_s, warmup_s=warmup_s)


def iperf3(name: str, *, duration_s: float = 1.5, warmup_s: float = 0.5) -> Readings:
    return parse_iperf3(
        recorded(f"iperf3-{name}.json"), duration_s=duration_s, warmup_s=warmup_s, interval_s=0.25
    )


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_sockperf_gives_whole_round_trips_twice_the_latency_it_prints(protocol: str) -> None:
    readings = sockperf(f"sockperf-{protocol}")
    halves = [
        float(line.split(",")[3])
        for line in recorded(f"sockperf-{protocol}.csv").splitlines()
        if line[:1].isdigit()
    ]
    rtt_us = readings.samples["rtt_us"]
    assert rtt_us == pytest.approx(np.array(halves[: len(rtt_us)]) * 2, abs=0.003)
    assert readings.summary["received_messages"] == len(rtt_us) == 150  # 100 a second
    assert readings.summary["unanswered_messages"] == 0
    assert readings.summary["dropped_messages"] == readings.summary["out_of_order_messages"] == 0


def test_sockperf_window_leaves_out_the_warmup_and_what_comes_after() -> None:
    everything = sockperf("sockperf-udp").samples["rtt_us"]
    window = sockperf("sockperf-udp", warmup_s=0.9, duration_s=0.5).samples["rtt_us"]
    assert len(window) == 50
    assert list(window) == list(everything[50:100])


def test_sockperf_that_stalls_on_a_lost_reply_keeps_what_covers_half_of_the_window() -> None:
    readings = sockperf("sockperf-udp-stalled", duration_s=1.2)
    assert len(readings.samples["rtt_us"]) == 76
    assert readings.summary["unanswered_messages"] == 1
    assert readings.summary["covered_s"] == pytest.approx(0.751, abs=0.001)


def test_sockperf_that_stalls_early_is_an_error() -> None:
    with pytest.raises(ToolOutputError, match=r"ended 0\.751 s into the 1\.55 s .* once a reply is lost"):
        sockperf("sockperf-udp-stalled", duration_s=1.55)
    with pytest.raises(ToolOutputError, match=r"a reply was lost before 0\.4 s"):
        sockperf("sockperf-udp-lost-early")


def test_sockperf_without_a_server_says_so_for_each_protocol() -> None:
    with pytest.raises(ToolOutputError, match="No messages were received from the server"):
        sockperf("sockperf-udp-no-server")
    with pytest.raises(ToolOutputError, match="Connection refused"):
        sockperf("sockperf-tcp-no-server")


def test_sockperf_run_holds_warmup_duration_and_its_own_margins() -> None:
    assert whole_run_s(0.55, 0.0) == 1
    assert whole_run_s(1.0, 0.5) == 2
    assert whole_run_s(2.0, 1.0) == 4


def test_iperf3_tcp_samples_are_the_receivers_intervals_after_the_warmup() -> None:
    readings = iperf3("tcp")
    document = json.loads(recorded("iperf3-tcp.json"))
    kept = [row["sum"] for row in document["server_output_json"]["intervals"]][2:8]
    assert list(readings.samples["throughput_bps"]) == [row["bits_per_second"] for row in kept]
    assert readings.summary["retransmits"] == sum(
        row["sum"]["retransmits"] for row in document["intervals"][2:8]
    )
    total_bits = sum(row["bytes"] for row in kept) * 8
    assert readings.summary["received_bps"] == pytest.approx(total_bits / sum(row["seconds"] for row in kept))
    assert 0 < readings.summary["client_cpu"] < 2.1


@pytest.mark.parametrize(
    ("warmup_s", "duration_s", "count"), [(0.3, 0.1, 0), (0.4, 0.2, 1), (0.2, 1.0, 4), (0, 2, 8)]
)
def test_iperf3_intervals_count_by_where_they_begin(warmup_s: float, duration_s: float, count: int) -> None:
    if not count:
        with pytest.raises(ToolOutputError, match="nothing arrived"):
            iperf3("udp", warmup_s=warmup_s, duration_s=duration_s)
        return
    readings = iperf3("udp", warmup_s=warmup_s, duration_s=duration_s)
    assert len(readings.samples["throughput_bps"]) == readings.summary["intervals"] == count


def test_iperf3_udp_counts_what_was_lost_in_the_window() -> None:
    assert iperf3("udp").summary["received_bps"] == pytest.approx(200e6, rel=0.02)  # 100 Mbit/s a stream
    lossy = iperf3("udp-lossy").summary
    rows = [
        row["sum"] for row in json.loads(recorded("iperf3-udp-lossy.json"))["server_output_json"]["intervals"]
    ]
    assert lossy["lost_packets"] == sum(row["lost_packets"] for row in rows[2:8]) > 0
    assert lossy["lost_packets"] < lossy["sent_packets"]
    assert lossy["jitter_us"] > 0


def test_iperf3_errors_are_passed_on() -> None:
    with pytest.raises(ToolOutputError, match="unable to connect to server: Connection refused"):
        iperf3("refused")
    with pytest.raises(ToolOutputError, match="server has terminated"):
        iperf3("server-died")


def test_iperf3_that_moved_nothing_is_an_error() -> None:
    with pytest.raises(ToolOutputError, match="nothing arrived"):
        iperf3("tcp", warmup_s=60)


def test_ping_leaves_out_the_warmup_and_counts_what_was_lost() -> None:
    readings = parse_ping(recorded("ping-lossy.txt"), warmup_count=2)
    assert list(readings.samples["rtt_us"][:2]) == pytest.approx([44.0, 47.0])
    assert readings.summary == {"sent_packets": 18, "lost_packets": 2, "duplicated_packets": 0}
    assert len(parse_ping(recorded("ping.txt"), warmup_count=1).samples["rtt_us"]) == 19


@pytest.mark.parametrize(
    ("name", "what"),
    [("ping-no-reply.txt", "none of 3 requests"), ("ping-unreachable.txt", "Network is unreachable")],
)
def test_ping_without_a_reply_is_an_error(name: str, what: str) -> None:
    with pytest.raises(ToolOutputError, match=what):
        parse_ping(recorded(name), warmup_count=1)


def test_ping_duplicates_are_counted_once() -> None:
    line = "64 bytes from 10.77.0.2: icmp_seq=2 ttl=64 time=0.032 ms\n"
    twice = recorded("ping.txt").replace(line, line + line.replace(" ms", " ms (DUP!)"))
    readings = parse_ping(twice, warmup_count=1)
    assert len(readings.samples["rtt_us"]) == 19
    assert readings.summary["duplicated_packets"] == 1


def test_connect_times_are_microseconds_and_failures_are_counted() -> None:
    document = json.loads(recorded("connect.json"))
    readings = parse_connect(recorded("connect.json"), count=50)
    assert list(readings.samples["connect_us"]) == [ns / 1000 for ns in document["connect_ns"]]
    some = json.dumps({"connect_ns": [1000], "errors": {"ECONNREFUSED": 2}})
    assert parse_connect(some, count=3).summary == {"attempted_connections": 3, "failed_connections": 2}


def test_connect_that_gave_up_or_never_succeeded_is_an_error() -> None:
    with pytest.raises(ToolOutputError, match="gave up after 3 of 50 connections: ETIMEDOUT 3 times"):
        parse_connect(recorded("connect-gave-up.json"), count=50)
    with pytest.raises(ToolOutputError, match="none of 5 connections came about: ECONNREFUSED 5 times"):
        parse_connect(recorded("connect-refused.json"), count=5)


NOT_OURS = (
    "",
    "null",
    "[]",
    "{}",
    "[[1]]",
    "1e400",
    "{" * 5000,
    "[" * 5000,
    '{"connect_ns": {}, "errors": []}',
)

PARSERS: dict[str, Callable[[str], Readings]] = {
    "sockperf-udp.csv": lambda text: parse_sockperf("", text, duration_s=1.5, warmup_s=0.4),
    "iperf3-tcp.json": lambda text: parse_iperf3(text, duration_s=1.5, warmup_s=0.5, interval_s=0.25),
    "iperf3-udp.json": lambda text: parse_iperf3(text, duration_s=1.5, warmup_s=0.5, interval_s=0.25),
    "ping.txt": lambda text: parse_ping(text, warmup_count=1),
    "connect.json": lambda text: parse_connect(text, count=50),
}


def complains_or_reads(parse: Callable[[str], Readings], text: str) -> None:
    try:
        readings = parse(text)
    except ToolOutputError as error:
        assert str(error)
        return
    assert all(np.isfinite(values).all() and len(values) for values in readings.samples.values())


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(share=st.floats(0, 0.97))
@settings(max_examples=25, deadline=None)
def test_a_cut_recording_is_a_tool_output_error(name: str, share: float) -> None:
    text = recorded(name)
    cut = text[: int(len(text) * share)]
    if name == "ping.txt" and "packets transmitted" in cut:
        return
    with pytest.raises(ToolOutputError):
        PARSERS[name](cut)


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(text=st.text() | st.sampled_from(NOT_OURS))
@settings(max_examples=40, deadline=None)
def test_arbitrary_text_is_a_tool_output_error(name: str, text: str) -> None:
    with pytest.raises(ToolOutputError):
        PARSERS[name](text)


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_recording_with_a_hole_or_a_foreign_piece_never_gives_anything_else(
    name: str, data: st.DataObject
) -> None:
    text = recorded(name)
    at = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    piece = data.draw(st.sampled_from(["", "-", "1e999", "NaN", "null", '"x"', "{}", "9" * 400, "\n", "é"]))
    complains_or_reads(PARSERS[name], text[:at] + piece + text[at + length :])
