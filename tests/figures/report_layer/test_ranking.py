import math

import pytest
from synthetic_run import PROGRAMMING, synthetic_run
from synthetic_sweeps import CONNECT, THROUGHPUT, dataplanes_run, proxy_scaling_run

from testbed.report.ranking import (
    UNTOLD,
    Contender,
    placed,
    ranking_heading,
    ranking_tables,
    who_is_ahead,
)
from testbed.report.view import view_of


def contenders(*intervals: tuple[float, float]) -> list[Contender]:
    return [
        Contender(f"c{number}", (low + high) / 2, low, high, "", "")
        for number, (low, high) in enumerate(intervals)
    ]


@pytest.mark.parametrize(
    ("intervals", "places", "ahead"),
    [
        ([(1, 2), (3, 4), (5, 6)], ["1", "2", "3"], "c0"),
        ([(5, 6), (3, 4), (1, 2)], ["3", "2", "1"], "c2"),
        ([(1, 2), (2, 3), (5, 6)], ["1 to 2", "1 to 2", "3"], f"2 of 3 {UNTOLD}"),
        ([(1, 3), (2, 5), (4, 6)], ["1 to 2", "1 to 3", "2 to 3"], f"2 of 3 {UNTOLD}"),
        ([(1, 9), (2, 3), (5, 6)], ["1 to 3", "1 to 2", "2 to 3"], f"2 of 3 {UNTOLD}"),
        ([(1, 5), (2, 6), (3, 7)], ["1 to 3", "1 to 3", "1 to 3"], UNTOLD),
        ([(1, 2)], ["1"], "c0, alone"),
    ],
)
def test_a_place_is_a_range_where_intervals_overlap(
    intervals: list[tuple[float, float]], places: list[str], ahead: str
) -> None:
    found = placed(contenders(*intervals))
    assert [one.place for one in found] == places
    assert who_is_ahead(found) == ahead


def test_without_an_interval_there_is_any_place_and_without_a_value_none() -> None:
    alone = Contender("once", 1.0, math.nan, math.nan, "1", "")
    failed = Contender("failed", math.nan, math.nan, math.nan, "failed", "")
    found = placed([alone, failed, *contenders((5, 6))])
    assert [one.place for one in found] == ["1 to 2", "", "1 to 2"]
    assert who_is_ahead(found) == UNTOLD
    assert who_is_ahead(placed([failed])) == "nobody: all trials failed"


def test_dataplanes_are_ranked_on_every_path_by_their_ratio() -> None:
    view = view_of(*dataplanes_run(noise=0.005, workloads=(*CONNECT, *THROUGHPUT)))
    times, rates = ranking_tables(view)
    assert ranking_heading(view) == "dataplane"
    assert [path.path for path in times.paths][:2] == ["Pod IP, same node", "Pod IP, other node"]
    for table in (times, rates):
        for path in table.paths:
            place = {one.contender.name: one.place for one in path.placed}
            assert (place["ovs-none"], place["ovs-vxlan"]) == ("5", "6")
            assert path.ahead == f"2 of 6 {UNTOLD}"
            assert place["flannel-host-gw-iptables"] == place["flannel-host-gw-nftables"] == "1 to 2"
    assert times.paths[0].placed[0].contender.text.endswith("\N{MULTIPLICATION SIGN}")


def test_a_scaling_run_is_ranked_at_its_largest_number() -> None:
    view = view_of(*proxy_scaling_run(noise=0.005))
    connect, programming, _ = ranking_tables(view)
    assert ranking_heading(view) == "dataplane with 5,000 Services"
    ahead = {path.path: path.ahead for path in connect.paths}
    assert ahead["ClusterIP, last Service"] == "nftables"
    assert ahead["ClusterIP, first Service"] == f"2 of 3 {UNTOLD}"
    assert "no baseline" in programming.quantity
    assert [one.contender.text[-2:] for one in programming.paths[0].placed] == ["ms"] * 3


def test_one_repeat_ranks_nobody() -> None:
    tables = ranking_tables(view_of(*dataplanes_run(repeats=1, workloads=CONNECT)))
    assert {path.ahead for table in tables for path in table.paths} == {UNTOLD}


def test_numbers_alone_and_single_variants_are_not_ranked() -> None:
    assert ranking_tables(view_of(*synthetic_run(repeats=1, workloads=PROGRAMMING))) == []
    numbers = {f"services={n}": {"services": n} for n in (1, 5)}
    assert ranking_tables(view_of(*synthetic_run(numbers, repeats=1, workloads=PROGRAMMING))) == []
