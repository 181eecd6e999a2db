"""`testbed render`: the program of every node as text; no root, nothing is started."""

from __future__ import annotations

from pathlib import Path

import click

from testbed.cli.output import print_json, tell_about_manifests
from testbed.dataplanes.program import NodeProgram
from testbed.dataplanes.registry import dataplane
from testbed.errors import UsageError
from testbed.runner.clusters import plan_of_file


@click.command()
@click.option("--node", help="Only this node.")
@click.option(
    "-f",
    "--file",
    "manifests",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Kubernetes manifests to put in.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("file", type=click.Path(path_type=Path))
def render(file: Path, node: str | None, manifests: tuple[Path, ...], as_json: bool) -> None:
    """Print the program of every node: links, addresses, routes, flows and groups, rules and sets.

    FILE is an Experiment (its first variant, without what measurements add), a Cluster, a Topology, or
    Kubernetes manifests for the default cluster. Objects stand under what they serve; rules that several put
    into one chain are sorted when they are applied.
    """
    found, plan = plan_of_file(file, manifests)
    tell_about_manifests(found)
    if node is not None and node not in plan.intent.nodes:
        raise UsageError(f"there is no node {node}", fix=f"there are: {', '.join(plan.intent.nodes)}")
    chosen = dataplane(plan.state.network.plugin, plan.state.network.service_proxy)
    names = [node] if node is not None else list(plan.intent.nodes)
    programs = [chosen.render(plan.intent.for_node(name)) for name in names]
    if as_json:
        print_json({program.node: _owners(program) for program in programs})
    else:
        click.echo("\n".join(program.text() for program in programs), nl=False)


def _owners(program: NodeProgram) -> dict[str, list[str]]:
    return {owner: [thing.text() for thing in things] for owner, things in sorted(program.owners.items())}
