"""report.html: one page that needs nothing else. Owns what it holds; `page.html` and `page.css` its form."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from testbed.analysis.trends import LEVEL_MARGIN
from testbed.analysis.verdict import Level
from testbed.records.schema import RunRecord
from testbed.report.comparison import comparisons_of, summary_of
from testbed.report.growth import growth_tables
from testbed.report.labels import axis_label, last_part
from testbed.report.ranking import ranking_heading, ranking_tables
from testbed.report.style import Drawn
from testbed.report.svg import inlined
from testbed.report.tables import failed_trials, failure_reasons, finding_tables, provenance_rows
from testbed.report.view import RunView
from testbed.report.wording import VERDICTS, key_findings, sentences_of

MOST_ROWS_OPEN = 36
"""A longer table is folded up, so that the page stays one that can be read through."""

MOST_TRIALS_NAMED = 12
MOST_REASONS = 10


def render_page(view: RunView, figures: Sequence[tuple[Drawn, str]]) -> str:
    """Return the page of a run.

    Args:
        view: the run.
        figures: what was drawn, each with its SVG text; the topology is recognised by its name.
    """
    environment = Environment(
        loader=DictLoader({"page.html": _packaged("page.html")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(_contents(view, figures))


def _contents(view: RunView, figures: Sequence[tuple[Drawn, str]]) -> Mapping[str, object]:
    record = view.record
    failed = failed_trials(view)
    drawn = [(figure, _element(figure, svg)) for figure, svg in figures]
    return {
        "css": Markup(_packaged("page.css")),  # noqa: S704 (our own file)
        "record": record,
        "verdict": view.verdict,
        "verdict_text": VERDICTS[view.verdict.level],
        "trials_named": trials_named,
        "sentences": sentences_of(view),
        "key_findings": key_findings(view),
        **_dataplane_contents(view),
        "tables": finding_tables(view),
        "most_rows_open": MOST_ROWS_OPEN,
        "variant_heading": view.variant_heading,
        "has_variants": view.has_variants,
        "topology": [pair for pair in drawn if pair[0].name == "topology"],
        "figures": [pair for pair in drawn if pair[0].name != "topology"],
        "failed": failed,
        "failure_reasons": failure_reasons(failed)[:MOST_REASONS],
        "reasons_left": max(0, len(failure_reasons(failed)) - MOST_REASONS),
        "provenance": provenance_rows(record),
        "commands": commands(record),
        "spec": json.dumps(record.spec, indent=2, ensure_ascii=False),
    }


def _dataplane_contents(view: RunView) -> Mapping[str, object]:
    """Return what sets dataplanes and sizes side by side; all of it empty for a run that has neither."""
    scaling, comparisons = view.scaling, comparisons_of(view)
    return {
        "rankings": ranking_tables(view),
        "ranking_heading": ranking_heading(view),
        "growth": growth_tables(view),
        "growth_over": axis_label(scaling.key) if scaling else "",
        "growth_heading": last_part(scaling.group_key) if scaling and scaling.has_groups else "",
        "level_percent": f"{100 * (LEVEL_MARGIN - 1):.0f}",
        "comparisons": comparisons,
        "comparison_summary": summary_of(comparisons),
        "is_spoiled": view.verdict.level is Level.SPOILED,
    }


def trials_named(trials: Sequence[int]) -> str:
    """Return the numbers of trials as text, the first of them where they are many."""
    shown = ", ".join(str(trial) for trial in trials[:MOST_TRIALS_NAMED])
    rest = len(trials) - MOST_TRIALS_NAMED
    return f"{shown} and {rest} more" if rest > 0 else shown


def commands(record: RunRecord) -> str:
    """Return the shell commands that repeat a run: the same source, then the same command."""
    commit = record.provenance.git_commit.removesuffix("-dirty")
    checkout = [f"git checkout {commit}"] if commit else []
    return "\n".join([*checkout, shlex.join(record.command)])


def _element(figure: Drawn, svg: str) -> Markup:
    return Markup(inlined(svg, f"fig-{figure.name}", figure.alt))  # noqa: S704 (matplotlib escapes the texts it draws)


def _packaged(name: str) -> str:
    return (resources.files("testbed.report") / name).read_text(encoding="utf-8")
