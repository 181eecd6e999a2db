"""How commands speak: results to stdout, progress to stderr, a bar on a terminal, else plain lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from testbed.errors import Finding
from testbed.spec.manifests import Manifests


class Reporter(Protocol):
    """Takes progress: how much is done of how much, and in words what is going on."""

    def __call__(self, done: int, total: int, doing: str) -> None:
        """Show it."""


@contextmanager
def progress() -> Iterator[Reporter]:
    """Yield what shows progress on stderr until the context ends."""
    if not sys.stderr.isatty():
        yield _plain_lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(done: int, total: int, doing: str) -> None:
            bar.update(task, completed=done, total=total or None, description=doing)
            if "FAILED" in doing:
                bar.console.print(doing, style="red", markup=False)

        yield show


def say(text: str) -> None:
    """Write a line of progress."""
    click.echo(text, err=True)


def tell_about_manifests(manifests: Manifests) -> None:
    """Write what is worth knowing about manifests: notices, and one line about all that was left out."""
    tell_notices(manifests.notices)
    summary = manifests.ignored.summary()
    if summary:
        say(summary)


def tell_notices(notices: Iterable[Finding]) -> None:
    """Write notices, a line each."""
    for notice in notices:
        say(f"note: {notice}")


def print_json(value: object) -> None:
    """Print a value as JSON, for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in aligned columns."""
    lines = [tuple(heads), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _plain_lines() -> Reporter:
    def show(done: int, total: int, doing: str) -> None:
        say(f"[{done}/{total}] {doing}" if total else doing)

    return show
