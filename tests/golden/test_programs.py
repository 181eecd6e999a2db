"""The program of every node, as text, is exactly what stands in programs/, on every run and in every process.

UPDATE_GOLDEN=1 rewrites the files; read the difference before committing it. As a program, this file prints
the programs of the cases that its arguments name.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.cluster.build import build_cluster
from testbed.cluster.underlay_plan import plan_underlay
from testbed.dataplanes.registry import network_plugin
from testbed.intent_from_cluster import compile_intent
from testbed.spec.load import load_cluster, load_manifests

HERE = Path(__file__).parent
INPUTS, PROGRAMS = HERE / "inputs", HERE / "programs"
CASES = ("vxlan-single", "geneve-linear", "none-leaf-spine")
APPLICATION = INPUTS / "notes-application.yaml"


def rendered(case: str) -> str:
    cluster = load_cluster(INPUTS / f"{case}.yaml")
    state = build_cluster(cluster, load_manifests([APPLICATION]).objects)
    intent = compile_intent(state, plan_underlay(cluster.topology, [node.name for node in cluster.nodes]))
    plugin = network_plugin(state.network.plugin)
    return "\n".join(plugin.render(intent.for_node(name)).text() for name in intent.nodes)


@pytest.mark.parametrize("case", CASES)
def test_programs_are_exactly_these(case: str) -> None:
    found, expected = rendered(case), PROGRAMS / f"{case}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_no_program_is_left_over() -> None:
    assert {path.stem for path in PROGRAMS.glob("*.txt")} == set(CASES)


def test_rendering_again_gives_the_same_bytes() -> None:
    assert [rendered(case) for case in CASES] == [rendered(case) for case in CASES]


@pytest.mark.parametrize("hash_seed", ["1", "20477"])
def test_another_process_gives_the_same_bytes(hash_seed: str) -> None:
    """Sets and dictionaries of another process hash otherwise; nothing of that may show."""
    printed = subprocess.run(
        [sys.executable, __file__, *CASES],
        env={
            **os.environ,
            "PYTHONHASHSEED": hash_seed,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        cwd=HERE.parents[1],
        capture_output=True,
        check=True,
        text=True,
    )
    assert printed.stdout == "".join(rendered(case) for case in CASES)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        sys.stdout.write(rendered(name))
