"""What every rendered program must keep to, as a list of what breaks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from small_clusters import flows_of, groups_of

from controllers.pipeline.tables import (
    BRIDGES,
    ETH_ARP,
    ETH_IPV4,
    INTEGRATION_BRIDGE,
    Table,
    UplinkTable,
    is_own_cookie,
    owner_cookie,
)
from testbed.dataplanes.openflow import Action, DecrementTtl, Flow, GotoTable, Group, SelectGroup, Track
from testbed.dataplanes.program import NodeProgram

NEEDS = {
    "ipv4_src": {"eth_type": ETH_IPV4},
    "ipv4_dst": {"eth_type": ETH_IPV4},
    "ip_proto": {"eth_type": ETH_IPV4},
    "arp_op": {"eth_type": ETH_ARP},
    "arp_spa": {"eth_type": ETH_ARP},
    "arp_tpa": {"eth_type": ETH_ARP},
    "arp_sha": {"eth_type": ETH_ARP},
    "tcp_dst": {"ip_proto": 6},
    "udp_dst": {"ip_proto": 17},
    "sctp_dst": {"ip_proto": 132},
}
"""Prerequisites of match fields (OpenFlow 1.5, section 7.2.3.8): a switch refuses a flow without them."""
FREE = {"in_port", "eth_src", "eth_dst", "eth_type", "reg0", "ct_state", "tunnel_id"}


def broken_rules(program: NodeProgram) -> list[str]:
    """Return what is wrong with a node's flows and groups; nothing is, as a rule."""
    flows, groups = flows_of(program), groups_of(program)
    repeated = [key for key, count in Counter(thing.key for thing in (*flows, *groups)).items() if count > 1]
    wrong = [f"two of one key: {key}" for key in repeated]
    wrong += [f"cookie: {flow.text()}" for owner in program.owners for flow in _misowned(program, owner)]
    for flow in flows:
        wrong += [f"{what}: {flow.text()}" for what in (*_misplaced(flow), *_unprepared(flow))]
        targets = {action.group_id for action in flow.actions if isinstance(action, SelectGroup)}
        if not targets <= {group.group_id for group in groups if group.bridge == flow.bridge}:
            wrong.append(f"no such group: {flow.text()}")
    for group in groups:
        wrong += [f"{what}: {group.text()}" for what in _misbuilt(group, flows)]
    return wrong


def _misowned(program: NodeProgram, owner: str) -> Iterator[Flow]:
    for thing in program.owners[owner]:
        if isinstance(thing, Flow) and not (
            is_own_cookie(thing.cookie) and thing.cookie == owner_cookie(owner)
        ):
            yield thing


def _misplaced(flow: Flow) -> Iterator[str]:
    known = set(Table) if flow.bridge == INTEGRATION_BRIDGE else set(UplinkTable)
    if flow.bridge not in BRIDGES or flow.table not in known:
        yield "unknown table"
    yield from _backward(flow.actions, flow.table, known)


def _backward(actions: Iterable[Action], table: int, known: set) -> Iterator[str]:
    for action in actions:
        target = action.table if isinstance(action, GotoTable | Track) else None
        if target is not None and target not in known:
            yield f"goes to unknown table {target}"
        if target is not None and target <= table:
            yield f"goes back to table {target}"


def _unprepared(flow: Flow) -> Iterator[str]:
    fields = dict(flow.match.fields)
    for name in fields:
        if name not in NEEDS and name not in FREE:
            yield f"matches {name}, of which the rules know nothing"
        missing = NEEDS.get(name, {}).items() - fields.items()
        if missing:
            yield f"matches {name} without {sorted(missing)}"
    is_for_ip = any(isinstance(action, DecrementTtl | Track) for action in flow.actions)
    if is_for_ip and fields.get("eth_type") != ETH_IPV4:
        yield "treats what may be no IPv4 packet as one"
    ends = [isinstance(action, GotoTable | Track | SelectGroup) for action in flow.actions]
    if any(ends[:-1]):
        yield "goes on after it has left the table"


def _misbuilt(group: Group, flows: Iterable[Flow]) -> Iterator[str]:
    users = [flow for flow in flows if SelectGroup(group.group_id) in flow.actions]
    if len(users) != 1:
        yield f"{len(users)} flows use it"
    numbers = [bucket.bucket_id for bucket in group.buckets]
    if len(set(numbers)) != len(numbers):
        yield "two buckets of one number"
    for bucket in group.buckets:
        if not 1 <= bucket.weight <= 0xFFFF:
            yield "a weight of no 16 bits"
        for user in users:
            yield from _backward(bucket.actions, user.table, set(Table))
