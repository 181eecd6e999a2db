"""The commands of the probes, the programs they need, and the two connect programs over loopback."""

from __future__ import annotations

import math
import socket
import threading
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path as FilePath

import pytest
from replaying_host import FakeHost

from testbed.measurement.connect_client import connect_many
from testbed.measurement.connect_server import serve
from testbed.measurement.host import Path
from testbed.measurement.host_load import Counters, host_load, parse_counters, read_counters
from testbed.measurement.probes import prepare_exchange, required_programs
from testbed.measurement.readings import Exchange
from testbed.measurement.workload import Workload

BASE = Workload("w", "throughput", ("TCP", "UDP"), (), duration_s=2, warmup_s=0.5, interval_s=0.25)


def exchange(workload: Workload, protocol: str, address: str = "10.96.0.7") -> Exchange:
    path = Path("hairpin", FakeHost("c"), (FakeHost("s"),), ip_address(address), 8102, 5201)
    return prepare_exchange(workload, protocol, path, FilePath("/scratch"))


def command(workload: Workload, protocol: str) -> str:
    return " ".join(exchange(workload, protocol).client_argv)


def test_iperf3_commands() -> None:
    expected = "iperf3 -c 10.96.0.7 -p 8102 -J --get-server-output --connect-timeout 5000 -t 3 -i 0.25 -P 1"
    assert command(BASE, "TCP") == expected
    assert command(BASE, "UDP") == f"{expected} -u -b 0"
    shared = replace(BASE, streams=4, bandwidth_bps=1e9, message_bytes=1200)
    assert command(shared, "UDP") == f"{expected[:-1]}4 -u -b 250000000 -l 1200"
    assert command(shared, "TCP") == f"{expected[:-1]}4 -l 1200"  # bandwidth is UDP's alone


def test_servers_listen_behind_the_service_on_the_family_of_the_target() -> None:
    four, six = exchange(BASE, "UDP").listener, exchange(BASE, "TCP", "fd00::7").listener
    assert four is not None
    assert six is not None
    assert " ".join(four.argv) == "iperf3 -s -1 -J -i 0.25 -B 0.0.0.0 -p 5201"
    assert "::" in six.argv
    assert (four.protocol, four.port) == ("TCP", 5201)  # iperf3's control connection is TCP for UDP as well


def test_sockperf_commands() -> None:
    latency = replace(BASE, type="latency")
    assert command(latency, "TCP") == (
        "sockperf ping-pong -i 10.96.0.7 -p 8102 --tcp -t 3 -m 64"
        " --full-log /scratch/sockperf-w-TCP-hairpin.csv"
    )
    listener = exchange(replace(latency, message_bytes=1000), "UDP").listener
    assert listener is not None
    assert " ".join(listener.argv) == "sockperf server -p 5201"
    assert (listener.protocol, listener.port) == ("UDP", 5201)


def test_ping_command_has_the_warmup_on_top() -> None:
    ping = replace(BASE, type="ping", count=100, interval_s=0.1)
    assert command(ping, "ICMP") == "ping -n -c 105 -i 0.1 -W 1 10.96.0.7"
    assert "-c 101" in command(replace(ping, warmup_s=0), "ICMP")


def test_required_programs_name_their_packages() -> None:
    assert required_programs(["ping", "latency", "ping"]) == {"ping": "iputils-ping", "sockperf": "sockperf"}
    assert required_programs(["connect"]) == {}


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="'dns'"):
        exchange(replace(BASE, type="dns"), "UDP")


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def test_connect_client_counts_what_is_refused(free_port: int) -> None:
    assert connect_many("127.0.0.1", free_port, 4) == ([], {"ECONNREFUSED": 4})


def test_connect_client_times_every_connection(free_port: int) -> None:
    threading.Thread(target=serve, args=("127.0.0.1", free_port), daemon=True).start()
    while connect_many("127.0.0.1", free_port, 1)[1]:
        pass  # refused until the thread listens
    connect_ns, errors = connect_many("127.0.0.1", free_port, 100)
    assert errors == {}
    assert len(connect_ns) == 100
    assert all(0 < duration < 3e9 for duration in connect_ns)


STAT = "cpu  100 0 50 800 40 0 5 5 0 0\ncpu0 1 2 3\n"
PRESSURE = "some avg10=0.80 avg60=0.61 avg300=0.21 total=1000\nfull avg10=0 avg60=0 avg300=0 total=0\n"
SOFTNET = "0000000d 00000001 00000000\n0000242a 0000000f 00000000\n"


def test_counters_are_read_as_the_kernel_documents_them() -> None:
    assert parse_counters(2.5, STAT, PRESSURE, SOFTNET) == Counters(2.5, 1000, 840, 5, 1000, 16)


def test_host_load_is_the_difference_of_two_readings() -> None:
    before = Counters(1.0, 1000, 840, 5, 1000, 16)
    load = host_load(before, Counters(2.0, 1200, 940, 25, 251000, 19))
    assert (load.busy, load.stolen, load.stalled, load.packets_dropped) == (0.4, 0.1, 0.25, 3)


def test_host_load_is_nan_where_nothing_is_known() -> None:
    no_pressure = parse_counters(1.0, STAT, None, SOFTNET)
    load = host_load(no_pressure, no_pressure)
    assert math.isnan(load.busy)
    assert math.isnan(load.stalled)
    assert load.packets_dropped == 0


def test_this_machines_counters_are_readable(tmp_path: FilePath) -> None:
    assert read_counters(0.0).total_ticks > 0
    (tmp_path / "net").mkdir()
    (tmp_path / "stat").write_text(STAT, encoding="ascii")
    (tmp_path / "net" / "softnet_stat").write_text(SOFTNET, encoding="ascii")
    assert read_counters(0.0, proc=tmp_path).stalled_us is None
