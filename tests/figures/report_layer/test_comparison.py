import dataclasses
import re

import pandas as pd
import pytest
from synthetic_run import synthetic_run
from synthetic_sweeps import CONNECT, dataplanes_run, proxy_scaling_run

from testbed.analysis.trends import Agreement, Trend
from testbed.records.schema import RunRecord
from testbed.report.comparison import Comparison, comparisons_of, summary_of
from testbed.report.growth import growth_tables, growths_of
from testbed.report.published import ADDING, ADDING_S, FIRST_PACKET, FIRST_PACKET_MS, UPDATING
from testbed.report.view import RunView, view_of

AGREES, DISAGREES, CANNOT = Agreement
TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture(scope="module")
def steady() -> RunView:
    return view_of(*steady_run())


def steady_run() -> tuple[RunRecord, pd.DataFrame]:
    """A run without noise to speak of, with samples enough that a median does not move."""
    return proxy_scaling_run(noise=0.005, programming=("programming", "programming", "", 4000.0, 500))


def verdicts(comparisons: list[Comparison]) -> dict[str, Agreement]:
    return {judgement.claim: judgement.verdict for one in comparisons for judgement in one.judgements}


def test_a_run_that_has_the_published_shape_agrees(steady: RunView) -> None:
    found = comparisons_of(steady)
    assert [comparison.source for comparison in found] == [FIRST_PACKET, ADDING, UPDATING]
    assert verdicts(found) == dict.fromkeys(
        [
            "iptables: the last Service takes longer, the more Services there are",
            "nftables: the number of Services does not matter to the last one",
            "iptables over nftables: the last of 5,000 Services takes longer",
            "iptables: the last of 5,000 Services takes longer than the first",
            "nftables: the last of 5,000 Services is like the first",
            "iptables: adding a Service takes longer, the more there are",
            "iptables over ovs: adding a Service grows more steeply",
            "iptables over nftables: adding a Service grows more steeply",
            "nftables: adding a Service takes as long, however many there are",
        ],
        AGREES,
    )
    assert summary_of(found) == "9 agree"


def test_a_judgement_stands_beside_the_numbers_that_lead_to_it(steady: RunView) -> None:
    first, adding, _ = comparisons_of(steady)
    grows, _, over, spread, _ = first.judgements
    assert re.fullmatch(rf"median [\d.]+ {TIMES} \[[\d.]+ to [\d.]+\] from 1 to 5,000 Services", grows.here)
    assert float(grows.here.split()[1]) == pytest.approx(3.0, rel=0.1)
    assert grows.published == f"p50 5.51 {TIMES} from 5,000 to 30,000 Services: grows"
    assert over.published.startswith(f"3.50 {TIMES} at p50 and 4.05 {TIMES} at p99")
    assert spread.published == f"p99 over p01 9.38 {TIMES}: longer"
    assert adding.judgements[0].published == f"2 ms at 1, 11 min at 5,000 Services (330,000 {TIMES}): grows"
    assert "since 1.28" in adding.source.caveat


def test_only_sizes_that_both_have_are_compared_directly() -> None:
    claims = verdicts(comparisons_of(view_of(*proxy_scaling_run(sizes=(1, 100, 4000)))))
    assert not [claim for claim in claims if "the last of" in claim]
    assert "iptables: the last Service takes longer, the more Services there are" in claims


def test_the_opposite_shape_disagrees() -> None:
    """The same run with the names of the two proxies swapped: nftables grows, iptables does not."""
    record, samples = steady_run()
    sweep = record.spec["spec"]["sweep"]
    labels = sweep["dataplane"] | {
        "iptables": sweep["dataplane"]["nftables"],
        "nftables": sweep["dataplane"]["iptables"],
    }
    spec = {"spec": record.spec["spec"] | {"sweep": sweep | {"dataplane": labels}}}
    found = comparisons_of(view_of(dataclasses.replace(record, spec=spec), samples))
    assert set(verdicts(found).values()) == {DISAGREES}
    assert summary_of(found) == "9 disagree"


def test_a_run_that_is_too_noisy_cannot_tell() -> None:
    found = verdicts(comparisons_of(view_of(*proxy_scaling_run(noise=0.4, repeats=2))))
    assert DISAGREES not in found.values()
    assert list(found.values()).count(CANNOT) > len(found) / 2


def test_one_repeat_tells_nothing() -> None:
    view = view_of(*proxy_scaling_run(repeats=1))
    assert set(verdicts(comparisons_of(view)).values()) == {CANNOT}
    assert "[no interval]" in comparisons_of(view)[0].judgements[0].here
    assert {growth.factor.n for growth in growths_of(view)} == {1}


def test_runs_without_matching_data_are_not_compared() -> None:
    assert comparisons_of(view_of(*dataplanes_run(repeats=2, workloads=CONNECT))) == []
    assert comparisons_of(view_of(*synthetic_run(repeats=2, workloads=CONNECT))) == []
    of_nodes = {f"nodes={n}": {"cluster.nodes": n} for n in (2, 20)}
    paths = ("raw-veth", "last-service")
    assert comparisons_of(view_of(*synthetic_run(of_nodes, repeats=2, workloads=CONNECT, paths=paths))) == []


def test_a_run_with_one_proxy_is_compared_as_far_as_it_goes() -> None:
    of_services = {f"services={n}": {"services": n} for n in (1, 5000)}
    record, samples = synthetic_run(
        of_services, repeats=3, workloads=CONNECT, paths=("raw-veth", "last-service")
    )
    spec = {"cluster": {"network": {"plugin": "flannel"}, "serviceProxy": {"mode": "nftables"}}}
    found = comparisons_of(view_of(dataclasses.replace(record, spec=spec), samples))
    assert list(verdicts(found)) == ["nftables: the number of Services does not matter to the last one"]


def test_growths_are_tables_of_the_ends_and_the_factor_between(steady: RunView) -> None:
    connect, programming, _ = growth_tables(steady)
    assert (connect.smallest, connect.largest) == ("1 Service", "5,000 Services")
    trends = {(row.path, row.group): row.trend for row in connect.rows}
    assert trends["ClusterIP, last Service", "iptables"] is Trend.GROWS
    assert trends["ClusterIP, first Service", "iptables"] is Trend.LEVEL
    assert {row.group: row.trend for row in programming.rows} == {
        "ovs": Trend.LEVEL, "iptables": Trend.GROWS, "nftables": Trend.LEVEL
    }  # fmt: skip
    assert growth_tables(view_of(*dataplanes_run(repeats=1, workloads=CONNECT))) == []


def test_a_growth_lies_between_the_numbers_that_were_measured() -> None:
    record, samples = proxy_scaling_run(sizes=(1, 100, 5000))
    lost = [
        i
        for i, trial in enumerate(record.trials)
        if trial.settings["services"] == 1
        and trial.path == "last-service"
        and trial.settings["dataplane"] == "ovs"
    ]
    view = view_of(record, samples[~samples["trial"].isin(lost)])
    rows = {(row.path, row.group): row for row in growth_tables(view)[0].rows}
    assert rows["ClusterIP, last Service", "ovs"].at_smallest.endswith(" at 100 Services")
    assert rows["ClusterIP, last Service", "iptables"].at_smallest.endswith(" at 1 Service")


def test_published_quantiles_rise_and_sizes_match() -> None:
    assert set(FIRST_PACKET_MS["iptables"]) == set(FIRST_PACKET_MS["nftables"]) == {5_000, 10_000, 30_000}
    for sizes in FIRST_PACKET_MS.values():
        for quantiles in sizes.values():
            assert list(quantiles) == ["p01", "p50", "p90", "p99"]
            assert list(quantiles.values()) == sorted(quantiles.values())
    assert list(ADDING_S["iptables"].values()) == [0.002, 11 * 60, 5 * 3600]
    assert {source.url.split("/")[2] for source in (FIRST_PACKET, ADDING, UPDATING)} == {
        "kubernetes.io", "github.com"
    }  # fmt: skip
