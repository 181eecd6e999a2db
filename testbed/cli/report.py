"""`testbed report`: figures and report.html again from raw data; no root, no network."""

from __future__ import annotations

from pathlib import Path

import click

from testbed.cli.output import print_json
from testbed.report.build import build_report


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("folder", type=click.Path(path_type=Path))
def report(folder: Path, as_json: bool) -> None:
    """Rebuild figures, summary.csv and report.html of the run in FOLDER from its raw data."""
    files = build_report(folder)
    if as_json:
        print_json({"report": str(files.html), "figures": [str(path) for path in files.figures]})
    else:
        click.echo(files.html)
