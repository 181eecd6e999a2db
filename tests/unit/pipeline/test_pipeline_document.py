"""docs/pipeline.md says what the code does: every table, every number, and walks as they really go."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from small_clusters import Built, cluster_of, pod, service

from controllers.pipeline import tables
from controllers.pipeline.packet import reply_to
from controllers.pipeline.tables import TABLES, Source, Table, TableSpec, UplinkTable
from controllers.pipeline.walk import Outcome
from testbed.inet import Protocol

DOCUMENT = Path(__file__).parents[3] / "docs" / "pipeline.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def example(encapsulation: str) -> Built:
    """Return the cluster that the document's walks go through."""
    return cluster_of(
        [
            pod("client", "client", "node1"),
            pod("web", "web", "node2"),
            service("web", "web", clusterIP="10.96.0.10"),
            service("self", "client", clusterIP="10.96.0.11"),
            service("empty", "nobody", clusterIP="10.96.0.12"),
        ],
        encapsulation=encapsulation,
        topology="leaf-spine",
    )


def first_packet(encapsulation: str, service_name: str) -> tuple[Built, Outcome]:
    cluster = example(encapsulation)
    (outcome,) = cluster.send("client", cluster.cluster_ip(service_name), 80, Protocol.TCP)
    return cluster, outcome


def answered(encapsulation: str, service_name: str) -> Outcome:
    cluster, there = first_packet(encapsulation, service_name)
    receiver = there.pod.removeprefix("default/")
    (back,) = cluster.walk(receiver, reply_to(there.packet), there.connections)
    return back


def lines_of(outcome: Outcome) -> list[str]:
    """Return a walk as the document prints it: where, priority, packet as it comes in, last action."""
    lines = []
    for hop in outcome.hops:
        assert hop.flow is not None
        name = (Table if hop.bridge == "br-int" else UplinkTable)(hop.table).name
        actions = hop.bucket.actions if hop.bucket else hop.flow.actions
        place = f"{hop.node} {hop.bridge} {hop.table:>2} {name:<15} {hop.flow.priority:>3}"
        lines.append(f"{place}  {hop.packet.text():<49} {actions[-1].text() if actions else 'drop'}")
    end = f" to {outcome.pod}" if outcome.pod else ""
    return [*lines, f"{outcome.node} {outcome.kind}{end}: {outcome.packet.text()}"]


WALKS = {
    "to a ClusterIP": lambda: first_packet("vxlan", "web")[1],
    "and back": lambda: answered("vxlan", "web"),
    "hairpin": lambda: first_packet("vxlan", "self")[1],
    "hairpin and back": lambda: answered("vxlan", "self"),
    "no endpoint": lambda: first_packet("vxlan", "empty")[1],
    "routed": lambda: first_packet("none", "web")[1],
}


@pytest.mark.parametrize("name", sorted(WALKS))
def test_the_walks_go_as_they_are_printed(name: str) -> None:
    block = "\n".join(lines_of(WALKS[name]()))
    assert f"```\n{block}\n```" in TEXT, f"docs/pipeline.md should hold:\n{block}"


@pytest.mark.parametrize("spec", TABLES, ids=lambda spec: spec.table.name)
def test_every_table_is_there(spec: TableSpec) -> None:
    row = f"| {int(spec.table)} | {spec.table.name} | {spec.purpose} | {spec.matches} | {spec.miss} |"
    assert row in TEXT.splitlines(), f"docs/pipeline.md should hold:\n{row}"


def test_no_table_is_there_that_is_not() -> None:
    cells = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| ")]
    rows = {(row[0], row[1]) for row in cells if len(row) == len(fields(TableSpec)) + 1 and row[0].isdigit()}
    assert rows == {(str(int(table)), table.name) for table in (*Table, *UplinkTable)}


@pytest.mark.parametrize(
    "shown",
    [
        *(f"| {int(source)} | {source.name} |" for source in Source),
        tables.VIRTUAL_ROUTER_MAC,
        tables.HAIRPIN_ADDRESS,
        f"| {tables.MAIN_ZONE} | main |",
        f"| {tables.HAIRPIN_ZONE} | hairpin |",
        f"`{tables.SOURCE_REGISTER}[0..3]`",
        f"`{tables.SOURCE_REGISTER}[4]`",
        f"`{tables.OUTPUT_REGISTER}`",
        f"| {tables.TUNNEL_PORT} | {tables.INTEGRATION_BRIDGE} |",
        f"| {tables.PATCH_PORT} | {tables.INTEGRATION_BRIDGE} |",
        f"| {tables.FIRST_POD_PORT} + n | {tables.INTEGRATION_BRIDGE} |",
        f"| {tables.UPLINK_PORT} | {tables.UPLINK_BRIDGE} |",
        f"| {tables.UPLINK_PATCH_PORT} | {tables.UPLINK_BRIDGE} |",
        f"{tables.owner_cookie('node'):#x}",
    ],
)
def test_numbers_and_names_are_there(shown: str) -> None:
    assert shown in TEXT
