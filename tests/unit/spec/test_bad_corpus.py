"""Every file of the corpus of bad YAML gives exactly the messages that stand beside it."""

import os
from pathlib import Path

import pytest

from testbed.dataplanes.catalogue import NETWORK_PLUGINS
from testbed.errors import SpecError
from testbed.spec.load import check_files, load_experiment

BAD = Path(__file__).parents[2] / "golden" / "bad"
FILES = sorted(path.name for path in BAD.glob("*.yaml"))


def messages(name: str) -> str:
    with pytest.raises(SpecError) as caught:
        check_files([name])
    assert caught.value.exit_code == 3
    return f"{caught.value}\n"


@pytest.mark.parametrize("name", FILES)
def test_messages_are_exactly_these(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    found = messages(name).replace(str(BAD.parents[2]), "<source tree>")
    found = found.replace(f"allowed: {', '.join(NETWORK_PLUGINS)};", "allowed: <network plugins>;")
    expected = BAD / f"{Path(name).stem}.expected"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_no_expectation_is_left_over() -> None:
    assert {path.stem for path in BAD.glob("*.expected")} == {Path(name).stem for name in FILES}


def test_the_corpus_is_large_enough() -> None:
    assert len(FILES) >= 70


def test_messages_are_our_own_words() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in BAD.glob("*.expected"))
    for phrase in ("Input should", "pydantic", "Traceback", "Extra inputs", "does not fit here"):
        assert phrase not in text


@pytest.mark.parametrize(
    "name", [name for name in FILES if name.startswith(("experiment-m", "experiment-p", "sweep-"))]
)
def test_loading_says_what_checking_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    with pytest.raises(SpecError) as caught:
        load_experiment(name)
    assert {str(finding) for finding in caught.value.findings} <= set(messages(name).splitlines())
