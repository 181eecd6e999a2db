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
from testbed.dataplanes.catalogue import NETWORK_PLUGINS, SERVICE_PROXIES
from testbed.dataplanes.program import NodeProgram
from testbed.dataplanes.registry import dataplane
from testbed.intent_from_cluster import compile_intent
from testbed.spec.cluster import ClusterSpec
from testbed.spec.load import load_manifests
from tests.combinations import COMBINATIONS, Combination, topologies_of

HERE = Path(__file__).parent
INPUTS, PROGRAMS = HERE / "inputs", HERE / "programs"
APPLICATION = INPUTS / "notes-application.yaml"


def _cases() -> dict[str, Combination]:
    """Every way of every plugin with its default proxy, and every proxy once; the rest is put together."""
    chosen = [
        each
        for each in COMBINATIONS
        if each.proxy == NETWORK_PLUGINS[each.plugin].service_proxies[0] or each.direct_routing
    ]
    for proxy, facts in SERVICE_PROXIES.items():
        if facts.mechanisms and proxy not in {each.proxy for each in chosen}:
            chosen.append(next(each for each in COMBINATIONS if each.proxy == proxy))
    return {str(each): each for each in chosen}


CASES = _cases()


def programs(combination: Combination) -> list[NodeProgram]:
    topology, nodes = topologies_of(combination)[-1], combination.most_nodes or 3
    cluster = ClusterSpec.model_validate(
        {"topology": {"type": topology}, "nodes": nodes, **combination.spec()}
    )
    state = build_cluster(cluster, load_manifests([APPLICATION]).objects)
    intent = compile_intent(state, plan_underlay(cluster.topology, [node.name for node in cluster.nodes]))
    chosen = dataplane(combination.plugin, combination.proxy)
    return [chosen.render(intent.for_node(name)) for name in intent.nodes]


def rendered(case: str) -> str:
    return "\n".join(program.text() for program in programs(CASES[case]))


@pytest.mark.parametrize("case", CASES)
def test_programs_are_exactly_these(case: str) -> None:
    found, expected = rendered(case), PROGRAMS / f"{case}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_no_two_objects_of_a_node_have_one_key(combination: Combination) -> None:
    """Parts of a network plugin and of a service proxy that know nothing of each other must not collide."""
    for program in programs(combination):
        keys = [thing.key for thing in program.objects()]
        assert sorted(keys) == sorted(set(keys))


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
