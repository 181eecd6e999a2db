"""Results of the benchmark on disk and on the screen: a JSON file a case, and one table of all of them.

The table is made from the JSON files that lie there, so running one case alone renews its rows only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from testbed.records.provenance import PROGRAMS, collect_provenance
from tests.bench.case import Case, Measured, Summary, summarise

Json = dict[str, Any]  # a JSON object of our own making
SCHEMA = 1
_MORE_PROGRAMS = {"iptables": ("iptables-nft-restore", "--version"), "nft": ("nft", "--version")}
_COLUMNS = ("case", "figure", "unit", "median [min, max]", "goal", "verdict")


def machine_facts() -> Json:
    """Return what the numbers are measured on."""
    facts = collect_provenance("this kernel", {}, offloads={}, programs={**PROGRAMS, **_MORE_PROGRAMS})
    return {
        "kernel": facts.kernel,
        "processor": facts.processor,
        "processors": facts.processors,
        "memory_mib": facts.memory_mib,
        "git_commit": facts.git_commit,
        "programs": {name: facts.programs[name] for name in ("ip", "ovs-vswitchd", *_MORE_PROGRAMS)},
        "packages": {name: facts.packages[name] for name in ("eventlet", "mininet", "ryu")},
    }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case's repeats: what each that went well brought, and why each other did not.

    `loads` is the load average over one minute before each repeat.
    """

    measured: tuple[Measured, ...]
    failures: tuple[str, ...]
    loads: tuple[float, ...]


def record(case: Case, outcome: Outcome, machine: Json) -> Json:
    """Return what is written down about a case; `machine` is what `machine_facts` returns."""
    readings = [each.readings for each in outcome.measured]
    datapaths = sorted({each.datapath_type for each in outcome.measured} - {""})
    return {
        "schema": SCHEMA,
        "name": case.name,
        "title": case.title,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine, "datapath_type": ", ".join(datapaths)},
        "repeats": len(outcome.loads),
        "load_before": [round(load, 2) for load in outcome.loads],
        "failures": list(outcome.failures),
        "figures": [_figure(summary) for summary in summarise(case, readings)],
    }


def write(folder: Path, result: Json) -> None:
    """Write a case's JSON file, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f".{result['name']}.json.partial-{os.getpid()}"
    staged.write_text(json.dumps(result, indent=2) + "\n")
    staged.replace(folder / f"{result['name']}.json")


def table(results: Sequence[Json]) -> list[tuple[str, ...]]:
    """Return the rows of a table: the heads, then a row a figure."""
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for result in results:
        for figure in result["figures"]:
            rows.append(
                (
                    result["name"],
                    figure["name"],
                    figure["unit"],
                    figure["shown"],
                    figure["goal"],
                    figure["verdict"],
                )
            )
    return rows


def as_text(rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join(lines)


def write_table(folder: Path, names: Sequence[str]) -> None:
    """Write table.md from the JSON files of these cases that exist, in this order."""
    files = [folder / f"{name}.json" for name in names]
    results = [json.loads(file.read_text()) for file in files if file.exists()]
    rows = table(results)
    lines = ["# Results of `make bench`", "", *_machines(results)]
    lines += [
        f"- {result['name']}, a repeat failed: {why}" for result in results for why in result["failures"]
    ]
    lines += ["", _markdown(rows[0]), _markdown(("---",) * len(rows[0])), *map(_markdown, rows[1:])]
    staged = folder / f".table.md.partial-{os.getpid()}"
    staged.write_text("\n".join(lines) + "\n")
    staged.replace(folder / "table.md")


def _figure(summary: Summary) -> Json:
    goal = summary.figure.goal
    return {
        "name": summary.figure.name,
        "unit": summary.figure.unit,
        "values": [round(value, 6) for value in summary.values],
        "shown": summary.text(),
        "goal": goal.text() if goal else "",
        "verdict": summary.verdict,
    }


def _machines(results: Sequence[Json]) -> list[str]:
    """Return a line for each different machine, naming the cases that were measured on it."""
    cases: dict[str, list[str]] = {}
    for result in results:
        machine = result["machine"]
        datapath = f", datapath {machine['datapath_type']}" if machine["datapath_type"] else ""
        place = (
            f"{machine['kernel']}, {machine['processors']} x {machine['processor']}, "
            f"{machine['memory_mib']} MiB{datapath}"
        )
        load = max(result["load_before"], default=0.0)
        about = f"{result['name']} ({result['repeats']} repeats, load before at most {load:g})"
        cases.setdefault(place, []).append(about)
    return [f"- {place}: {', '.join(names)}" for place, names in cases.items()]


def _markdown(row: tuple[str, ...]) -> str:
    return "| " + " | ".join(row) + " |"
