"""The report of runs that compare dataplanes, and of runs that sweep a number."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from reading import Page, assert_readable, page_of, texts_of
from synthetic_run import PROGRAMMING, Settings, synthetic_run
from synthetic_sweeps import (
    CONNECT,
    DATAPLANES,
    LATENCY_TCP,
    LATENCY_UDP,
    THROUGHPUT,
    dataplanes_run,
    proxy_scaling_run,
)

from testbed.records.schema import RunRecord
from testbed.records.store import write_run
from testbed.report.build import build_report, draw_figures
from testbed.report.figures.facets import facet_note, facets_of
from testbed.report.style import Drawn, settle, styled
from testbed.report.view import RunView, view_of
from testbed.report.wording import sentences_of

Run = tuple[RunRecord, pd.DataFrame]
FEW = (("latency", "latency", "TCP", 26.0, 100), ("throughput", "throughput", "TCP", 38e9, 3))


@pytest.fixture(scope="module")
def scaling() -> Run:
    return proxy_scaling_run()


@pytest.fixture(scope="module")
def built(scaling: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "run"
    write_run(folder, *scaling)
    build_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(built: Path) -> Page:
    return page_of(built)


def words(page: Page) -> str:
    return " ".join(page.text.split())


def drawn_of(run: Run) -> dict[str, Drawn]:
    with styled():
        drawn = list(draw_figures(view_of(*run)))
        for one in drawn:
            settle(one)
    return {one.name: one for one in drawn}


def figures_of(run: Run) -> dict[str, Figure]:
    return {name: one.figure for name, one in drawn_of(run).items()}


@pytest.fixture(scope="module")
def figures(scaling: Run) -> dict[str, Figure]:
    return figures_of(scaling)


def shown(figure: Figure) -> str:
    return " | ".join(text.get_text() for text in texts_of(figure))


def test_a_scaling_run_has_lines_over_the_number_and_a_facet_for_each(built: Path) -> None:
    stems = {path.stem for path in (built / "figures").iterdir()}
    assert stems == {
        "topology", "first-packet-scaling", "programming-scaling", "first-packet-ratio", "first-packet-cdf"
    }  # fmt: skip


def test_a_report_on_scaling_built_again_is_the_same_to_the_byte(built: Path) -> None:
    before = {path: path.read_bytes() for path in built.rglob("*") if path.is_file()}
    build_report(built)
    assert {path: path.read_bytes() for path in built.rglob("*") if path.is_file()} == before


def test_the_page_on_scaling_needs_nothing_else(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert all(reference.startswith("#") and reference[1:] in page.ids for reference in page.references)


def test_the_page_says_what_a_named_axis_stands_for_and_claims_no_other_dataplane(page: Page) -> None:
    text = words(page)
    assert (
        "12 variants side by side: dataplane (iptables, nftables, ovs) by services (1, 100, 1,000, 5,000)."
        in text
    )
    assert "iptables is Flannel with VXLAN, Services by kube-proxy (iptables)" in text
    assert "ovs is Open vSwitch with VXLAN." in text
    assert "joined by" not in text


def test_what_all_variants_share_is_claimed() -> None:
    record, _ = synthetic_run(repeats=1, workloads=FEW)
    network = {"plugin": "flannel", "backend": "host-gw"}
    spec = {"cluster": {"network": network, "serviceProxy": {"mode": "nftables"}}}
    said = " ".join(sentences(dataclasses.replace(record, spec=spec)))
    assert "joined by Flannel with host-gw, Services by kube-proxy (nftables), with an MTU" in said
    both = {f"mode={mode}": {"cluster.serviceProxy.mode": mode} for mode in ("iptables", "nftables")}
    record, _ = synthetic_run(both, repeats=1, workloads=FEW)
    said = " ".join(sentences(dataclasses.replace(record, spec={"cluster": {"network": network}})))
    assert "joined by Flannel with host-gw, with an MTU" in said


def sentences(record: RunRecord) -> Sequence[str]:
    return sentences_of(view_of(record, synthetic_run(repeats=1, workloads=FEW)[1]))


def test_what_has_no_baseline_says_so_and_has_no_ratio(page: Page) -> None:
    text = words(page)
    assert text.count("There is no baseline and so no ratio: raw veth knows no Services.") == 2
    of_programming = (
        text.split("Statistics")[1].split("Programming, time until in force")[1].split("Figures")[0]
    )
    assert "ratio to raw veth" not in of_programming
    assert "unknown" not in of_programming
    assert "Programming, time until in force: from 3." in text
    assert "without raw veth in the same repeat" not in text


def test_a_programming_measurement_alone_is_a_whole_report(tmp_path: Path) -> None:
    record, samples = synthetic_run(repeats=3, workloads=PROGRAMMING)
    write_run(tmp_path / "run", record, samples)
    build_report(tmp_path / "run")
    stems = {path.stem for path in (tmp_path / "run" / "figures").iterdir()}
    assert stems == {
        "topology",
        *(f"programming-programming-{family}" for family in ("cdf", "boxes")),
        *(f"programming-first_connection-{family}" for family in ("cdf", "boxes")),
    }
    text = words(page_of(tmp_path / "run"))
    assert "with raw veth measured beside it" not in text
    assert "Compared with published figures" not in text


def test_the_quantiles_of_scaling_are_those_that_the_samples_tell(figures: dict[str, Figure]) -> None:
    connect, programming = shown(figures["first-packet-scaling"]), shown(figures["programming-scaling"])
    assert [name for name in ("p01", "p50", "p90", "p99") if name in connect] == ["p01", "p50", "p90", "p99"]
    assert [name for name in ("p01", "p50", "p90", "p99") if name in programming] == ["p50", "p90"]
    for group in ("ovs", "iptables", "nftables"):
        assert group in connect
    axes = figures["first-packet-scaling"].axes
    assert len(axes) == 12
    assert {one.get_xscale() for one in axes} == {one.get_yscale() for one in axes} == {"log"}
    assert len({one.get_ylim() for one in axes}) == 1


def test_a_line_of_scaling_runs_through_the_means_of_the_repeats(
    scaling: Run, figures: dict[str, Figure]
) -> None:
    view = view_of(*scaling)
    median_of_last = figures["first-packet-scaling"].axes[9]
    summary = view.summary
    rows = summary.loc[
        (summary["path"] == "last-service")
        & (summary["statistic"] == "p50")
        & summary["variant"].str.startswith("dataplane=iptables")
    ]
    expected = list(rows["mean"] / 1000)  # drawn in ms
    drawn = [list(line.get_ydata()) for line in median_of_last.get_lines()]
    assert any(line == pytest.approx(expected) for line in drawn if len(line) == 4)


@pytest.mark.parametrize(
    ("numbers", "scale"),
    [((1, 10), "linear"), ((1, 11), "log"), ((0, 1, 5000), "symlog"), ((100, 200, 300), "linear")],
)
def test_the_number_has_a_log_axis_where_it_spans_more_than_a_decade(
    numbers: Sequence[int], scale: str
) -> None:
    variants: dict[str, Settings] = {f"n={n}": {"n": n} for n in numbers}
    figures = figures_of(synthetic_run(variants, repeats=2, workloads=FEW[:1], paths=("raw-veth", "hairpin")))
    assert {axes.get_xscale() for axes in figures["latency-scaling"].axes} == {scale}


def test_of_many_numbers_four_are_shown_from_the_smallest_to_the_largest() -> None:
    view = view_of(*proxy_scaling_run(sizes=(1, 2, 5, 10, 20, 50, 100), repeats=1))
    facets = facets_of(view)
    assert [facet.title for facet in facets] == ["1 Service", "5 Services", "20 Services", "100 Services"]
    assert [label for label, _ in facets[0].lines] == ["ovs", "iptables", "nftables"]
    assert facet_note(view, facets).endswith("and 100 Services; the tables have all.")
    assert facet_note(*of_four()) == ""


def of_four() -> tuple[RunView, list]:
    view = view_of(*proxy_scaling_run(repeats=1))
    return view, facets_of(view)


def test_six_dataplanes_keep_their_figures_and_leave_raw_veth_out_of_the_bars() -> None:
    drawn = drawn_of(dataplanes_run(workloads=FEW))
    figures = {name: one.figure for name, one in drawn.items()}
    assert set(figures) == {
        "topology", "latency-ratio", "throughput-ratio", "latency-cdf", "latency-boxes", "throughput-bars"
    }  # fmt: skip
    assert all(name in shown(figures["latency-cdf"]) for name in DATAPLANES)
    assert "raw veth" not in shown(figures["throughput-bars"])
    caption = drawn["throughput-bars"].caption
    assert re.search(r"Not drawn: raw veth, [\d.]+ Gbit/s to [\d.]+ Gbit/s\.", caption)


def test_every_line_of_a_panel_looks_different() -> None:
    looks = view_of(*dataplanes_run(repeats=1, workloads=CONNECT)).variant_looks
    assert len({look.colour for look in looks.values()}) == len(looks) == 6
    assert len({look.marker for look in looks.values()}) == 6
    scaled = view_of(*proxy_scaling_run(sizes=(1, 5), repeats=1)).variant_looks
    assert len(set(scaled.values())) == 3
    assert scaled["dataplane=ovs, services=1"] == scaled["dataplane=ovs, services=5"]


@pytest.mark.parametrize(
    "run",
    [
        lambda: proxy_scaling_run(noise=0.2, fail=0.1),
        lambda: proxy_scaling_run(sizes=(0, 1, 2, 5, 10, 20, 50, 100, 5000), repeats=1),
        lambda: dataplanes_run(noise=0.1, workloads=(*LATENCY_TCP, *LATENCY_UDP)),
        lambda: dataplanes_run(workloads=(*THROUGHPUT, *PROGRAMMING)),
    ],
    ids=["noisy and failing", "nine sizes from none", "two protocols", "rates and programming"],
)
def test_no_text_of_a_figure_overlaps_another(run: Callable[[], Run]) -> None:
    for figure in figures_of(run()).values():
        assert_readable(figure)


def test_no_text_of_a_scaling_figure_overlaps_another(figures: dict[str, Figure]) -> None:
    for figure in figures.values():
        assert_readable(figure)


def test_a_run_in_which_a_group_failed_everywhere_is_still_drawn(tmp_path: Path) -> None:
    record, samples = proxy_scaling_run(sizes=(1, 100), repeats=2)
    lost = {i for i, trial in enumerate(record.trials) if trial.settings["dataplane"] == "nftables"}
    write_run(tmp_path / "run", record, samples[~samples["trial"].isin(lost)].reset_index(drop=True))
    build_report(tmp_path / "run")
    assert "first-packet-scaling.png" in {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert "nftables failed" in words(page_of(tmp_path / "run"))
