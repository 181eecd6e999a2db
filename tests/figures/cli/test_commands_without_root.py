"""The command line where nothing is started: exit codes, messages, and never a traceback for a bad file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from testbed.cli import main as command_line

ROOT = Path(__file__).resolve().parents[3]
BAD = sorted((ROOT / "tests" / "golden" / "bad").glob("*.yaml"))
QUICKSTART = str(ROOT / "experiments" / "quickstart.yaml")


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["testbed", *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_there_is_a_corpus_of_bad_files() -> None:
    assert len(BAD) >= 60


@pytest.mark.parametrize("command", ["check", "render", "run"])
def test_a_bad_file_ends_with_status_3_and_a_place(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in BAD if command == "check" else BAD[::4]:  # what a file says is found by the same code
        if command == "run" and "kind: Experiment" not in file.read_text(errors="replace"):
            continue
        assert call(monkeypatch, command, str(file)) == 3, file.name
        said = capsys.readouterr()
        assert said.out == "", file.name
        assert "Traceback" not in said.err, file.name
        assert file.name in said.err or ".yaml" in said.err, file.name


def test_a_valid_experiment_is_summed_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "check", QUICKSTART) == 0
    assert capsys.readouterr().out == "1 file valid: 1 Experiment\n"


def test_a_missing_file_is_an_error_in_the_yaml(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "check", "no-such-file.yaml") == 3
    assert "no-such-file.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["teleport"], ["run"], ["run", "--no-such-option", QUICKSTART]])
def test_wrong_usage_ends_with_status_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, *arguments) == 2


@pytest.mark.parametrize("override", ["repeats", "repeatz=3", "cluster.network.encapsulation=gre"])
def test_a_wrong_override_is_explained(
    override: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "run", QUICKSTART, "--set", override, "--dry-run") in {2, 3}
    assert override.split("=", maxsplit=1)[0].rsplit(".", maxsplit=1)[-1] in capsys.readouterr().err


def test_a_dry_run_prints_every_trial_in_its_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "run", QUICKSTART, "--dry-run", "--json", "--repeats", "2") == 0
    trials = json.loads(capsys.readouterr().out)
    assert [trial["trial"] for trial in trials] == [str(number) for number in range(len(trials))]
    assert {trial["repeat"] for trial in trials} == {"1", "2"}
    assert {trial["path"] for trial in trials} >= {"raw-veth", "hairpin", "clusterip-other-node"}


def test_rendering_twice_gives_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for _ in range(2):
        assert call(monkeypatch, "render", str(ROOT / "topologies" / "leaf-spine.yaml")) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert "add-br br-int" in texts[0]


def test_one_node_is_rendered_alone_and_an_unknown_one_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "render", QUICKSTART, "--node", "node2", "--json") == 0
    assert list(json.loads(capsys.readouterr().out)) == ["node2"]
    assert call(monkeypatch, "render", QUICKSTART, "--node", "node9") == 2
    assert "node1, node2, node3" in capsys.readouterr().err


def test_a_report_of_nothing_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "report", str(tmp_path)) == 5
    assert "run.json" in capsys.readouterr().err
