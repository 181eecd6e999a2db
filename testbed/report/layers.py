"""Where the parts of a topology stand in its drawing: tiers by distance from the nodes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from testbed.records.schema import TopologyDrawing

FEWEST_APART = 1.0
"""The least distance between two parts of a tier, where 1 is that between two nodes."""


@dataclass(frozen=True, slots=True)
class Place:
    """A part's place: `across` runs along its tier, `tier` is 0 for nodes and grows towards the core."""

    across: float
    tier: int


def place_parts(drawing: TopologyDrawing) -> dict[str, Place]:
    """Return the place of every node, switch and router of a drawing.

    A switch's tier is its number of hops to the nearest node. A tier is ordered by the middle of each part's
    neighbours in the tier below (Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical
    system structures", 1981), and parts keep a least distance.
    """
    neighbours = _neighbours(drawing)
    tiers = _tiers(drawing, neighbours)
    across = {name: float(index) for index, name in enumerate(drawing.nodes)}
    for tier in range(1, max(tiers.values(), default=0) + 1):
        names = [name for name in (*drawing.switches, *drawing.routers) if tiers[name] == tier]
        wanted = {name: _middle(name, tier - 1, tiers, neighbours, across) for name in names}
        order = sorted(names, key=lambda name: (wanted[name], names.index(name)))
        across |= _kept_apart(
            order, wanted, _distance(wanted, [across[n] for n in across if tiers[n] == tier - 1])
        )
    return {name: Place(across[name], tiers[name]) for name in tiers}


def _neighbours(drawing: TopologyDrawing) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in (*drawing.nodes, *drawing.switches, *drawing.routers)}
    for link in drawing.links:
        if link.a in found and link.b in found:
            found[link.a].append(link.b)
            found[link.b].append(link.a)
    return found


def _tiers(drawing: TopologyDrawing, neighbours: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return every part's hops to the nearest node; what no node reaches stands in the lowest switch tier."""
    tiers = dict.fromkeys(drawing.nodes, 0)
    frontier = list(drawing.nodes)
    while frontier:
        reached = {
            peer: tiers[name] + 1 for name in frontier for peer in neighbours[name] if peer not in tiers
        }
        tiers |= reached
        frontier = list(reached)
    return {name: tiers.get(name, 1) for name in (*drawing.nodes, *drawing.switches, *drawing.routers)}


def _middle(
    name: str,
    below: int,
    tiers: Mapping[str, int],
    neighbours: Mapping[str, Sequence[str]],
    across: Mapping[str, float],
) -> float:
    places = [across[peer] for peer in neighbours[name] if tiers[peer] == below and peer in across]
    return sum(places) / len(places) if places else 0.0


def _distance(wanted: Mapping[str, float], below: Sequence[float]) -> float:
    """Return how far apart to keep a tier: spread out where all want one place, as a mesh's spines do."""
    if len(wanted) < 2 or len(set(wanted.values())) > 1:
        return FEWEST_APART
    return max(FEWEST_APART, 0.7 * (max(below) - min(below)) / (len(wanted) - 1))


def _kept_apart(names: Sequence[str], wanted: Mapping[str, float], apart: float) -> dict[str, float]:
    """Return places in the given order, `apart` from each other at least, around the same middle."""
    places: list[float] = []
    for name in names:
        nearest = places[-1] + apart if places else wanted[name]
        places.append(max(wanted[name], nearest))
    if not places:
        return {}
    shift = sum(wanted[name] for name in names) / len(names) - sum(places) / len(places)
    return {name: place + shift for name, place in zip(names, places, strict=True)}
