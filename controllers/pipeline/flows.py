"""Small constructors that keep the table files readable: flows of br-int with their owner's cookie."""

from __future__ import annotations

from controllers.pipeline.tables import (
    ETH_IPV4,
    INTEGRATION_BRIDGE,
    OUTPUT_REGISTER,
    SOURCE_MASK,
    SOURCE_REGISTER,
    Source,
    Table,
    owner_cookie,
)
from testbed.dataplanes.openflow import Action, Flow, GotoTable, MatchValue, SetField, match

"""Owner of the flows that a node has whatever its objects are."""


def flow(owner: str, table: Table, priority: int, actions: tuple[Action, ...], **fields: MatchValue) -> Flow:
    """Return a flow of br-int that belongs to an owner."""
    return Flow(INTEGRATION_BRIDGE, int(table), priority, match(**fields), actions, owner_cookie(owner))


def ip_flow(
    owner: str, table: Table, priority: int, actions: tuple[Action, ...], **fields: MatchValue
) -> Flow:
    """Return a flow of br-int for IPv4 packets."""
    return flow(owner, table, priority, actions, eth_type=ETH_IPV4, **fields)


def goto(table: Table) -> GotoTable:
    """Return the action that goes on in a table."""
    return GotoTable(int(table))


def mark_source(source: Source) -> SetField:
    """Return the action that records where a packet came from."""
    return SetField(SOURCE_REGISTER, int(source), SOURCE_MASK)


def to_port(port: int) -> tuple[Action, ...]:
    """Return the actions that choose an output port and leave the forwarding tables."""
    return (SetField(OUTPUT_REGISTER, port), goto(Table.OUTPUT))
