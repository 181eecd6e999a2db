"""`python -m tests.bench`: runs the cases, prints the table, writes results/bench/."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from testbed.emulation.sandbox import refuse_without_permission
from testbed.errors import TestbedError
from tests.bench.case import Case, Measured
from tests.bench.cases import all_cases
from tests.bench.results import Outcome, as_text, machine_facts, record, table, write, write_table

RESULTS = Path(__file__).resolve().parents[2] / "results" / "bench"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases that the command line names.

    Returns:
        0, also when goals are missed; 1 if a case could not be measured; 4 where no sandbox can be made.
    """
    cases = all_cases()
    chosen = _arguments(arguments, [case.name for case in cases])
    if chosen.list:
        print(as_text([("case", "what"), *((case.name, case.title) for case in cases)]))
        return 0
    try:
        refuse_without_permission()
    except TestbedError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    machine = machine_facts()
    results = []
    has_failed = False
    for case in cases:
        if chosen.only and case.name not in chosen.only:
            continue
        outcome = _repeated(case, chosen.repeats)
        has_failed |= bool(outcome.failures)
        results.append(record(case, outcome, machine))
        write(chosen.out, results[-1])
    write_table(chosen.out, [case.name for case in cases])
    print(as_text(table(results)))
    return 1 if has_failed else 0


def _repeated(case: Case, repeats: int) -> Outcome:
    """Carry out a case's repeats, whether or not one fails."""
    measured: list[Measured] = []
    failures, loads = [], []
    for repeat in range(repeats):
        loads.append(os.getloadavg()[0])
        print(f"{case.name}: repeat {repeat + 1} of {repeats}, load {loads[-1]:.2f}", file=sys.stderr)
        try:
            measured.append(case.measure(repeat))
        except TestbedError as error:
            failures.append(str(error))
            print(f"{case.name}: repeat {repeat + 1} failed: {error}", file=sys.stderr)
    return Outcome(tuple(measured), tuple(failures), tuple(loads))


def _arguments(arguments: Sequence[str] | None, names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the testbed itself.")
    parser.add_argument("--only", action="append", choices=names, help="only this case; may be repeated")
    parser.add_argument("--repeats", type=_count, default=3, help="how often each case runs (default 3)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where results go (default results/bench)")
    parser.add_argument("--list", action="store_true", help="list the cases and end")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
