"""`testbed probe`: bring up a throw-away cluster and say what reaches what, and who answered."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from testbed.cli.output import print_json, print_table, progress, tell_about_manifests
from testbed.inet import Protocol
from testbed.runner.clusters import plan_of_manifests
from testbed.runner.probe import Answer, all_questions, chosen_questions, probe_cluster
from testbed.spec.load import load_cluster, load_manifests

ROWS_SHOWN_MAX = 60


@click.command()
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Kubernetes manifests.",
)
@click.option(
    "--cluster",
    type=click.Path(path_type=Path),
    help="A file of kind Cluster. Default: two nodes, ovs, vxlan.",
)
@click.option("--from", "source", help="Only from this Pod, as namespace/name.")
@click.option("--to", "target", help="Only to this Pod or Service, as namespace/name, or to this address.")
@click.option("--port", type=click.IntRange(1, 65535), help="Only to this port.")
@click.option(
    "--protocol", type=click.Choice(["TCP", "UDP"], case_sensitive=False), help="Only this protocol."
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.05, 60),
    default=1.0,
    help="Seconds to wait for an answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def probe(
    files: tuple[Path, ...],
    cluster: Path | None,
    source: str | None,
    target: str | None,
    port: int | None,
    protocol: str | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Bring up a throw-away cluster with manifests, and try connections between its Pods.

    Without --from, --to and --port every Pod tries every Pod's containerPorts and every Service's
    ClusterIP. A connection is allowed (a Pod answered: which is told), refused (RST or ICMP port
    unreachable) or blocked (nothing).
    """
    manifests = load_manifests([str(path) for path in files])
    tell_about_manifests(manifests)
    plan = plan_of_manifests(load_cluster(cluster), manifests)
    wanted = Protocol(protocol.upper()) if protocol else None
    is_narrowed = any(choice is not None for choice in (source, target, port, wanted))
    questions = (
        chosen_questions(plan.state, source, target, port, wanted)
        if is_narrowed
        else all_questions(plan.state)
    )
    with progress() as show:
        answers = probe_cluster(
            plan, questions, timeout_s=timeout_s, on_stage=lambda stage: show(0, 0, f"building: {stage}")
        )
    if as_json:
        print_json({"results": [answer.to_json() for answer in answers]})
    else:
        _print_answers(answers)


def _print_answers(answers: tuple[Answer, ...]) -> None:
    shown = answers[:ROWS_SHOWN_MAX]
    rows = [
        (
            answer.question.source,
            f"{answer.question.target}:{answer.question.port}/{answer.question.protocol}",
            answer.verdict,
            answer.endpoint or "",
        )
        for answer in shown
    ]
    print_table(("from", "to", "verdict", "answered by"), rows)
    if len(answers) > len(shown):
        click.echo(f"... and {len(answers) - len(shown)} more; --json prints all")
    counts = Counter(answer.verdict for answer in answers)
    click.echo(
        f"{len(answers)} connections: "
        + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    )
