"""The command line as a stranger meets it: what is printed where, exit codes, and no traceback ever."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from command_line import INPUTS, QUICKSTART, ROOT, TESTBED, answers, call, is_one_message

MATRIX = INPUTS / "matrix.yaml"
PAIR = INPUTS / "pair.yaml"
RENDERED = [
    [QUICKSTART],
    [ROOT / "topologies" / "leaf-spine.yaml", "-f", PAIR],
    [PAIR, "--node", "node2"],
    [PAIR, "--json"],
]


@pytest.fixture(scope="module")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster file for the Pods of the matrix."""
    file = tmp_path_factory.mktemp("cluster") / "three.yaml"
    file.write_text("apiVersion: testbed/v1alpha1\nkind: Cluster\nspec: {nodes: 3}\n")
    return file


@pytest.mark.parametrize("arguments", RENDERED, ids=["experiment", "topology", "node", "json"])
def test_rendering_twice_gives_the_same_bytes(arguments: list[str | Path], tmp_path: Path) -> None:
    first, second = (
        call(["render", *arguments], tmp_path, environment={"PYTHONHASHSEED": seed}) for seed in "12"
    )
    assert first.returncode == second.returncode == 0, first.stderr
    assert len(first.stdout) > 1000
    assert first.stdout == second.stdout


class TestProbe:
    def test_the_shape_of_its_json(self, tmp_path: Path) -> None:
        done = call(["probe", "-f", PAIR, "--json"], tmp_path)
        results = answers(done)
        assert list(json.loads(done.stdout)) == ["results"]
        pods = sorted({result["from"] for result in results})
        assert len(pods) == 2
        assert [pod.startswith("default/web-") for pod in pods] == [True, True]
        for result in results:
            assert list(result) == ["from", "to", "protocol", "port", "verdict", "endpoint"]
            assert (result["protocol"], result["verdict"]) == ("TCP", "allowed")
            if result["to"] == "default/web":
                assert result["port"] == 80
                assert result["endpoint"] in pods
            else:
                assert (result["port"], result["endpoint"]) == (8080, result["to"])
        assert {(result["from"], result["to"]) for result in results} == {
            (source, target) for source in pods for target in (*pods, "default/web")
        }

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            (
                ["--from", "default/neighbour", "--to", "default/web-2", "--port", "8081"],
                [("default/web-2", "TCP", 8081, "allowed", "default/web-2")],
            ),
            (
                ["--from", "neighbour", "--to", "alone", "--protocol", "udp", "--port", "443"],
                [("default/alone", "UDP", 443, "allowed", "default/alone")],
            ),
            (
                ["--from", "neighbour", "--to", "nobody"],
                [
                    ("default/nobody", "TCP", 80, "refused", None),
                    ("default/nobody", "UDP", 80, "refused", None),
                ],
            ),
            (
                ["--from", "neighbour", "--to", "10.96.0.99", "--port", "80"],
                [("10.96.0.99", "TCP", 80, "blocked", None)],
            ),
        ],
        ids=["Pod", "names of the default namespace", "Service without endpoints", "address"],
    )
    def test_choosing(
        self, choice: list[str], expected: list[tuple[object, ...]], three_nodes: Path, tmp_path: Path
    ) -> None:
        arguments: list[str | Path] = ["probe", "-f", MATRIX, "--cluster", three_nodes, "--json", *choice]
        results = answers(call(arguments, tmp_path))
        assert {result["from"] for result in results} == {"default/neighbour"}
        keys = ("to", "protocol", "port", "verdict", "endpoint")
        assert [tuple(result[key] for key in keys) for result in results] == expected

    @pytest.mark.parametrize(
        ("choice", "word"),
        [
            (["--from", "default/nobody-like-this"], "default/nobody-like-this"),
            (["--to", "default/nothing-like-this"], "default/nothing-like-this"),
            (["--to", "10.96.0.99"], "--port"),
        ],
    )
    def test_choosing_what_does_not_exist(self, choice: list[str], word: str, tmp_path: Path) -> None:
        done = call(["probe", "-f", PAIR, *choice], tmp_path)
        assert done.returncode == 2
        assert is_one_message(done.stderr)
        assert word in done.stderr
        assert "building:" not in done.stderr

    def test_without_a_network_plugin_it_says_why_no_pod_runs(self, tmp_path: Path) -> None:
        done = call(["probe", "-f", PAIR, "--cluster", INPUTS / "no-plugin.yaml"], tmp_path)
        assert "Traceback" not in done.stderr
        for word in ("Pending", "network plugin"):
            assert word.lower() in (done.stdout + done.stderr).lower()

    def test_for_people_it_prints_a_table_and_a_sum(self, tmp_path: Path) -> None:
        done = call(["probe", "-f", PAIR], tmp_path)
        assert done.returncode == 0
        head, *rows, total = done.stdout.splitlines()
        assert head.split() == ["from", "to", "verdict", "answered", "by"]
        assert len(rows) == 6
        assert total == "6 connections: 6 allowed"


def test_check_tells_every_error_of_a_file_with_its_place(tmp_path: Path) -> None:
    done = call(["check", INPUTS / "broken.yaml"], tmp_path)
    assert done.returncode == 3
    assert done.stdout == ""
    *findings, total = done.stderr.splitlines()
    assert [finding.startswith(f"{INPUTS / 'broken.yaml'}:") for finding in findings] == [True] * 3
    assert [int(finding.split(":")[1]) for finding in findings] == [8, 9, 10]
    assert total == "testbed: 3 errors in the YAML"


@pytest.mark.parametrize("command", ["run", "probe -f", "render", "check"])
def test_a_file_that_is_not_there(command: str, tmp_path: Path) -> None:
    done = call([*command.split(), "nowhere.yaml"], tmp_path)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "nowhere.yaml" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["frobnicate"], ["run"], ["run", "--frobnicate"], ["probe", "-f", str(PAIR), "--port", "none"]],
    ids=["unknown command", "no experiment", "unknown option", "bad value"],
)
def test_usage_errors(arguments: list[str], tmp_path: Path) -> None:
    done = call(arguments, tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["render", str(QUICKSTART)], ["run", str(QUICKSTART), "--dry-run"]])
def test_a_reader_that_goes_away_early(arguments: list[str], tmp_path: Path) -> None:
    with subprocess.Popen(
        [TESTBED, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline()
        running.stdout.close()
        said = running.stderr.read()
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


def test_a_dry_run_starts_nothing(tmp_path: Path) -> None:
    done = call(["run", QUICKSTART, "--dry-run", "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    trials = json.loads(done.stdout)
    assert len(trials) > 10
    assert "building:" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tmp"]
