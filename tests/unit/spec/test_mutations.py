"""Whatever is done to a good file, the outcome is a valid spec or a SpecError, and nothing else."""

import copy
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.errors import SpecError
from testbed.spec.load import check_files

GOOD = Path(__file__).parent / "good"
FILES = ("application.yaml", "experiment.yaml", "cluster.yaml", "topology.yaml")
VALUES = (
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    "",
    "x y",
    "é\n",
    "1",
    [],
    {},
    [1],
    [None],
    {"a": 1},
    {"": None},
    [[]],
    "a\x7f",
)


def outcome(text: str | bytes, tmp_path: Path, name: str) -> None:
    for other in FILES:
        target = tmp_path / other
        if not target.exists():
            target.write_bytes((GOOD / other).read_bytes())
    mutated = tmp_path / f"mutated-{name}"
    mutated.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        check_files([mutated])
    except SpecError as error:
        assert error.findings
        for finding in error.findings:
            assert finding.what
            assert "does not fit here" not in finding.what
            assert "\n" not in str(finding)


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, below in children:
        yield from places(below, (*path, key))


def container(root: list | dict, path: tuple[str | int, ...]) -> list | dict:
    for segment in path[:-1]:
        root = root[segment]
    return root


def mutate(documents: list, rng: random.Random) -> list:
    changed = copy.deepcopy(documents)
    every = sorted(places(changed), key=str)
    path = rng.choice(every)
    holder, key = container(changed, path), path[-1]
    match rng.randrange(4):
        case 0:
            del holder[key]
        case 1:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
        case 2:
            other = rng.choice(every)
            holder[key] = copy.deepcopy(container(documents, other)[other[-1]])
        case 3 if isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        case _:
            holder.append(copy.deepcopy(rng.choice(VALUES))) if isinstance(holder, list) else holder.clear()
    return changed


@pytest.mark.parametrize("name", FILES)
def test_good_files_are_good(name: str) -> None:
    assert check_files([GOOD / name]).kinds


@pytest.mark.parametrize("name", FILES)
def test_changed_values(name: str, tmp_path: Path) -> None:
    documents = list(yaml.load_all((GOOD / name).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
    rng = random.Random(name)
    for _ in range(20):
        changed = mutate(documents, rng)
        outcome(yaml.dump_all(changed, Dumper=yaml.CSafeDumper, sort_keys=False), tmp_path, name)


@pytest.mark.parametrize("name", FILES)
def test_truncated_text(name: str, tmp_path: Path) -> None:
    content = (GOOD / name).read_bytes()
    rng = random.Random(name)
    for _ in range(12):
        outcome(content[: rng.randrange(len(content))], tmp_path, name)


@pytest.mark.parametrize("name", FILES)
def test_overwritten_bytes(name: str, tmp_path: Path) -> None:
    content = (GOOD / name).read_bytes()
    rng = random.Random(name)
    odd = b"\t\n:-{}[]&*!|>'\"%@`#,?\x00\xff\x80 0"
    for _ in range(20):
        changed = bytearray(content)
        for _ in range(rng.randrange(1, 6)):
            changed[rng.randrange(len(changed))] = (
                rng.choice(odd) if rng.random() < 0.8 else rng.randrange(256)
            )
        outcome(bytes(changed), tmp_path, name)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(alphabet=st.sampled_from(list("ab:-[]{}&*!|>'\"#\n \t,?~<=0.1é")), max_size=60))
def test_arbitrary_text(text: str, tmp_path: Path) -> None:
    outcome(text, tmp_path, "any.yaml")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=60))
def test_arbitrary_bytes(content: bytes, tmp_path: Path) -> None:
    outcome(content, tmp_path, "any.yaml")
