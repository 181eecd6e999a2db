"""What the report's picture of the topology shows, taken from a cluster's plan. Pure."""

from __future__ import annotations

from testbed.cluster.underlay import LinkKind, LinkShape, UnderlayLink
from testbed.records.schema import TopologyDrawing, TopologyLink
from testbed.runner.job import ClusterPlan
from testbed.units import format_bit_rate, format_duration, format_percent


def drawing_of(plan: ClusterPlan) -> TopologyDrawing:
    """Return the drawing of a cluster. A leaf and the switch behind it are one device in it."""
    underlay = plan.underlay
    names = {node.device: node.node for node in underlay.nodes.values()}
    inner = {link.a.device: link.b.device for link in underlay.links if link.kind is LinkKind.INTERNAL}
    names |= inner
    switches = tuple(name for name in underlay.switches if name not in inner)
    return TopologyDrawing(
        switches=switches,
        routers=tuple(router.name for router in underlay.routers),
        nodes=tuple(underlay.nodes),
        links=tuple(_drawn(link, names) for link in underlay.links if link.kind is not LinkKind.INTERNAL),
        pods={
            name: tuple(pod.qualified_name for pod in plan.state.pods_on(name)) for name in plan.state.nodes
        },
    )


def _drawn(link: UnderlayLink, names: dict[str, str]) -> TopologyLink:
    ends = [names.get(end.device, end.device) for end in (link.a, link.b)]
    return TopologyLink(ends[0], ends[1], shape_label(link.shape))


def shape_label(shape: LinkShape) -> str:
    """Return a link's shape in a few words; "" where nothing is shaped."""
    parts = []
    if shape.bandwidth_bps is not None:
        parts.append(format_bit_rate(shape.bandwidth_bps))
    if shape.delay_ns:
        parts.append(format_duration(shape.delay_ns))
    if shape.loss:
        parts.append(f"{format_percent(shape.loss)} loss")
    if shape.queue_packets is not None:
        parts.append(f"queue {shape.queue_packets}")
    return ", ".join(parts)
