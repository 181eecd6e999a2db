"""Whether the nodes of a cluster are where their network plugin needs them to be.

Some ways to carry Pods' packets work only between nodes that reach each other without a router.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from testbed.cluster.underlay import Underlay
from testbed.dataplanes.catalogue import NETWORK_PLUGINS
from testbed.errors import Finding, SpecError
from testbed.spec.cluster import NetworkSpec

_NAMED = 8
"""How many nodes of a segment a message names."""


def refuse_scattered_nodes(network: NetworkSpec, underlay: Underlay) -> None:
    """Refuse nodes on several segments where the way between them must not lead through a router.

    Raises:
        SpecError: they are; says which nodes are where, and what to use instead.
    """
    segments = _nodes_by_router(underlay)
    if not network.carrier.needs_one_segment or len(segments) < 2:
        return
    facts = NETWORK_PLUGINS[network.plugin]
    where = "; ".join(
        f"{_listed(nodes)} {'is' if len(nodes) == 1 else 'are'} behind router {router}"
        for router, nodes in segments.items()
    )
    what = f"{facts.carrier_key} {network.carrier_name} needs all nodes on one segment: {where}"
    others = [name for name, carrier in facts.carriers.items() if not carrier.needs_one_segment]
    direct = " (with directRouting, plain within a segment)" if "direct_routing" in facts.options else ""
    fix = f"use {facts.carrier_key} {' or '.join(others)}{direct}, or a topology without routers"
    path = f"spec.cluster.network.{facts.carrier_key}"
    raise SpecError([Finding("cluster", 0, 0, path, what, "", fix)])


def _nodes_by_router(underlay: Underlay) -> Mapping[str, list[str]]:
    """Return the names of the nodes of each segment, by the segment's router."""
    found: dict[str, list[str]] = {}
    for node in underlay.nodes.values():
        found.setdefault(node.router, []).append(node.node)
    return found


def _listed(nodes: Sequence[str]) -> str:
    rest = len(nodes) - _NAMED
    return ", ".join(nodes[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
