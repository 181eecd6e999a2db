import csv
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from reading import Page, assert_readable, page_of, texts_of
from synthetic_run import WORKLOADS, leaf_spine, synthetic_run

from testbed.errors import RunFailed
from testbed.records.schema import RunRecord
from testbed.records.store import write_run
from testbed.report.build import build_report, draw_figures
from testbed.report.style import settle, styled
from testbed.report.topology import draw_topology
from testbed.report.view import view_of

THROUGHPUT, CONNECT, PING = WORKLOADS[2:3], WORKLOADS[3:4], WORKLOADS[4:5]
SHOWN_PATHS = ("raw-veth", "pod-other-node", "hairpin")
SOME_PATHS = ("raw-veth", "pod-other-node", "clusterip-other-node")
VXLAN, NONE = ({"cluster.network.encapsulation": name} for name in ("vxlan", "none"))
TWELVE = {f"services={n}": {"services": n} for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)}

Run = tuple[RunRecord, pd.DataFrame]


@pytest.fixture(scope="module")
def plain() -> Run:
    workloads = (*CONNECT, *THROUGHPUT)
    return synthetic_run(repeats=3, workloads=workloads, datapath_type="netdev", paths=SHOWN_PATHS)


@pytest.fixture(scope="module")
def built(plain: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "run"
    write_run(folder, *plain)
    build_report(folder)
    return folder


def report_on(run: Run, tmp_path: Path) -> Page:
    write_run(tmp_path / "run", *run)
    build_report(tmp_path / "run")
    return page_of(tmp_path / "run")


def test_every_figure_is_there_as_svg_and_png(built: Path) -> None:
    names = sorted(path.name for path in (built / "figures").iterdir())
    stems = ["connect-boxes", "connect-cdf", "ratio-to-raw-veth", "throughput-bars", "topology"]
    assert names == sorted(f"{stem}.{ending}" for stem in stems for ending in ("png", "svg"))
    for path in (built / "figures").iterdir():
        if path.suffix == ".svg":
            ET.fromstring(path.read_text())
        else:
            assert path.read_bytes().startswith(b"\x89PNG")
    assert not [path for path in built.rglob(".*")]


def test_a_report_built_again_is_the_same_to_the_byte(built: Path) -> None:
    before = {path: path.read_bytes() for path in built.rglob("*") if path.is_file()}
    build_report(built)
    assert {path: path.read_bytes() for path in built.rglob("*") if path.is_file()} == before


def test_the_page_needs_nothing_else_and_its_ids_are_unique(built: Path) -> None:
    page = page_of(built)
    assert len(page.ids) == len(set(page.ids)) > 100
    assert all(reference.startswith("#") and reference[1:] in page.ids for reference in page.references)
    html = (built / "report.html").read_text(encoding="utf-8")
    assert all(match in page.ids for match in re.findall(r"url\(#([^)]+)\)", html))
    assert "@import" not in html


def test_the_page_says_what_a_reader_needs(built: Path) -> None:
    text = " ".join(page_of(built).text.split())
    told = [
        "Read these figures with the following in mind.",
        "quote ratios, not microseconds or Gbit/s",
        "4 nodes, 20 Pods and 3 Services",
        "Pod IP, other node",
        "hairpin through ClusterIP",
        "Linux 6.1.0-28-amd64 x86_64",
        "testbed run experiments/service-paths.yaml",
        "It took 4 min 12 s",
    ]
    assert [sentence for sentence in told if sentence not in text] == []
    assert text.index("Read these figures") < text.index("What was run") < text.index("How far from raw veth")
    assert "Failed trials" not in text


def test_the_table_of_statistics_holds_full_precision(built: Path, plain: Run) -> None:
    with (built / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = view_of(*plain).summary
    assert len(rows) == len(expected)
    assert [float(row["mean"]) for row in rows] == list(expected["mean"])


def test_a_run_with_only_failed_trials_says_so(tmp_path: Path) -> None:
    page = report_on(synthetic_run(repeats=1, fail=1.0, workloads=THROUGHPUT), tmp_path)
    assert "Every trial failed" in page.text
    assert "6 of 6 trials: sockperf: Connection timed out after 5 s" in page.text


def test_one_repeat_has_no_interval(tmp_path: Path) -> None:
    page = report_on(synthetic_run(repeats=1, workloads=THROUGHPUT, paths=SOME_PATHS), tmp_path)
    assert "Everything was measured once: there is no confidence interval." in page.text
    assert "[" not in page.text.split("mean rate")[1].split("Figures")[0]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = '<script>alert("$x^{2}$")</script>'
    two: dict[str, dict[str, str | int | float | bool]] = {evil: {"a.b": evil}, "two": {"a.b": "two"}}
    record, samples = synthetic_run(two, repeats=1, workloads=THROUGHPUT, paths=SOME_PATHS)
    record = dataclasses.replace(
        record, experiment=evil, description="a & b", spec={"x": evil, "y": "\ud800"}
    )
    report_on((record, samples), tmp_path)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert "a &amp; b" in html


def test_a_damaged_run_gives_no_report(built: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes((built / "run.json").read_bytes()[:500])
    with pytest.raises(RunFailed, match="complete JSON"):
        build_report(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    "run",
    [
        lambda: synthetic_run(repeats=2, workloads=(*THROUGHPUT, *PING), paths=SHOWN_PATHS),
        lambda: synthetic_run(
            {"e=vxlan": VXLAN, "e=none": NONE}, repeats=2, workloads=PING, fail=0.2, paths=SHOWN_PATHS
        ),
        lambda: synthetic_run(TWELVE, repeats=1, workloads=CONNECT, paths=SOME_PATHS[:2]),
    ],
    ids=["one variant", "two variants, some failed", "twelve variants"],
)
def test_no_text_of_a_figure_overlaps_another(run: Callable[[], Run]) -> None:
    with styled():
        for drawn in draw_figures(view_of(*run())):
            settle(drawn)
            assert_readable(drawn.figure)


@pytest.mark.parametrize("nodes", [1, 2, 6, 7, 20])
def test_the_topology_is_readable(nodes: int) -> None:
    with styled():
        drawn = draw_topology(leaf_spine(nodes, 3, 23))
        settle(drawn)
        assert_readable(drawn.figure)
    shown = " ".join(text.get_text() for text in texts_of(drawn.figure))
    assert f"node-{nodes}" in shown
    assert "more" in shown
