"""What every test shares: which layer a test belongs to, and that a promised layer really ran.

`--require-layers=unit,cluster` fails the run if one of these layers had no test that passed, or any that was
skipped.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path

import pytest

LAYERS = ("unit", "golden", "figures", "cluster")
ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-layers",
        default="",
        help="comma-separated layers of tests/ that must run whole: " + ", ".join(LAYERS),
    )


class LayerGuard:
    """Counts outcomes by layer, and fails the run when a required layer was skipped or did not run."""

    def __init__(self, required: tuple[str, ...]) -> None:
        self.required = required
        self.outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        layer = Path(report.nodeid.split("::")[0]).parts[1]
        if report.skipped:
            self.outcomes[layer]["skipped"] += 1
            self.skipped.append(
                f"{report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else ''}"
            )
        elif report.when == "call" and report.passed:
            self.outcomes[layer]["passed"] += 1

    def problems(self) -> list[str]:
        found = [
            f"layer {layer}: no test passed" for layer in self.required if not self.outcomes[layer]["passed"]
        ]
        found += [
            f"skipped, though its layer is required: {each}"
            for each in self.skipped
            if Path(each.split("::")[0]).parts[1] in self.required and not _may_be_absent(each)
        ]
        return found

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.problems() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for problem in self.problems():
            terminalreporter.write_line(f"REQUIRED LAYER: {problem}", red=True)


def _may_be_absent(skipped: str) -> bool:
    """Manifests of other projects are tested where a checkout has them beside it, and nowhere else."""
    return "upstream manifests is absent" in skipped


def pytest_configure(config: pytest.Config) -> None:
    required = tuple(filter(None, config.getoption("--require-layers").split(",")))
    unknown = set(required) - set(LAYERS)
    if unknown:
        raise pytest.UsageError(
            f"no such layer: {', '.join(sorted(unknown))}; there are: {', '.join(LAYERS)}"
        )
    config.pluginmanager.register(LayerGuard(required))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (ROOT / "tests" / "cluster") in item.path.parents:
            item.add_marker(pytest.mark.cluster)


os.environ.setdefault("MPLBACKEND", "Agg")
