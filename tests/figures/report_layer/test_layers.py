from itertools import combinations

import pytest
from synthetic_run import leaf_spine

from testbed.records.schema import TopologyDrawing, TopologyLink
from testbed.report.layers import place_parts


def drawing(switches: str, nodes: str, links: str) -> TopologyDrawing:
    pairs = (TopologyLink(*pair.split("-")) for pair in links.split())
    return TopologyDrawing(tuple(switches.split()), (), tuple(nodes.split()), tuple(pairs), {})


def test_tiers_count_hops_from_the_nodes() -> None:
    places = place_parts(drawing("core agg e1 e2", "n1 n2 n3", "core-agg agg-e1 agg-e2 e1-n1 e1-n2 e2-n3"))
    assert {name: place.tier for name, place in places.items()} == {
        "n1": 0, "n2": 0, "n3": 0, "e1": 1, "e2": 1, "agg": 2, "core": 3,
    }  # fmt: skip
    assert places["e1"].across == 0.5


def test_switches_in_a_row_stand_above_their_nodes() -> None:
    places = place_parts(drawing("s1 s2 s3", "n1 n2 n3", "s1-n1 s2-n2 s3-n3 s1-s2 s2-s3"))
    assert [places[f"s{i}"].across for i in (1, 2, 3)] == [0.0, 1.0, 2.0]
    assert {places[f"s{i}"].tier for i in (1, 2, 3)} == {1}


@pytest.mark.parametrize("nodes", [1, 2, 5, 12, 20])
def test_parts_of_a_tier_never_touch(nodes: int) -> None:
    places = place_parts(leaf_spine(nodes, 4))
    for first, second in combinations(places.values(), 2):
        assert first.tier != second.tier or abs(first.across - second.across) >= 1 - 1e-9


def test_what_no_node_reaches_and_links_to_nowhere_are_no_error() -> None:
    places = place_parts(drawing("s1 alone", "n1", "s1-n1 s1-ghost"))
    assert set(places) == {"s1", "alone", "n1"}
    assert place_parts(drawing("", "", "")) == {}
