"""`testbed check`: validate files; no root, nothing is started."""

from __future__ import annotations

from pathlib import Path

import click

from testbed.cli.output import print_json, say, tell_notices
from testbed.runner.clusters import plan_of_file
from testbed.runner.plan import plan_run
from testbed.spec.files import kind_of_file
from testbed.spec.load import check_files, load_experiment


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...], as_json: bool) -> None:
    """Validate FILES: experiments, clusters, topologies and Kubernetes manifests.

    All errors of all files are told at once, with file, line and column. Experiments and
    clusters are planned down to the last address as well.
    """
    report = check_files([str(path) for path in files])
    for path in files:
        kind = kind_of_file(path)
        if kind == "Experiment":
            plan_run(load_experiment(path))
        elif kind == "Cluster":
            plan_of_file(path, ())
    tell_notices(report.notices)
    summary = report.ignored.summary()
    if summary:
        say(summary)
    if as_json:
        print_json({"files": list(report.files), "kinds": dict(sorted(report.kinds.items()))})
        return
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report.kinds.items()))
    click.echo(
        f"{len(report.files)} file{'s' if len(report.files) > 1 else ''} valid: {kinds or 'nothing in them'}"
    )
