"""`testbed run`: build, measure, write results, draw figures."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from testbed.cli.output import print_json, print_table, progress, say, tell_about_manifests
from testbed.errors import UsageError
from testbed.runner.plan import RunPlan, plan_run
from testbed.runner.run import Progress, run_experiment
from testbed.spec.load import load_experiment

RESULTS = Path("results")


@click.command()
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of spec, as repeats=5."
)
@click.option("--repeats", type=int, help="Override spec.repeats.")
@click.option("--seed", type=int, help="Override spec.seed.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the results; must not exist. Default: results/<experiment>/<time>.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Keep finished cells in OUT.cells until the run is whole, and go on with those that are there.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, in its order, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("experiment", type=click.Path(path_type=Path))
def run(
    experiment: Path,
    overrides: tuple[str, ...],
    repeats: int | None,
    seed: int | None,
    out: Path | None,
    resume: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run EXPERIMENT: build its networks, measure, write the results and draw the figures.

    Results appear whole or not at all: a run that fails or is interrupted leaves nothing, unless --resume
    keeps what it has finished.
    """
    if resume and out is None:
        raise UsageError(
            "--resume needs --out", fix="name the folder that the run is to fill, each time the same"
        )
    given = [*overrides]
    given += [f"repeats={repeats}"] if repeats is not None else []
    given += [f"seed={seed}"] if seed is not None else []
    loaded = load_experiment(experiment, given)
    tell_about_manifests(loaded.manifests)
    plan = plan_run(loaded)
    if dry_run:
        _print_plan(plan, as_json=as_json)
        return
    folder = out or RESULTS / loaded.name / datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    with progress() as show:

        def on_progress(step: Progress) -> None:
            show(step.done, step.total, step.doing)

        page = run_experiment(plan, folder, command=_command(), on_progress=on_progress, is_resumable=resume)
    if as_json:
        print_json({"results": str(folder), "report": str(page)})
        return
    say(f"results: {folder}")
    click.echo(page)


def _print_plan(plan: RunPlan, *, as_json: bool) -> None:
    trials = [
        (
            str(trial.index),
            str(trial.repeat + 1),
            trial.variant,
            trial.workload.name,
            trial.protocol,
            trial.path,
        )
        for trial in plan.trials
    ]
    heads = ("trial", "repeat", "variant", "measurement", "protocol", "path")
    if as_json:
        print_json([dict(zip(heads, trial, strict=True)) for trial in trials])
    else:
        print_table(heads, trials)


def _command() -> tuple[str, ...]:
    """Return how we were called, without the path of the machine before the program's name."""
    return ("testbed", *sys.argv[1:])
