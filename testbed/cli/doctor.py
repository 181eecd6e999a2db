"""`testbed doctor`: what this machine can do, what is missing, which experiments need it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from testbed.cli.output import print_json, print_table
from testbed.emulation.capabilities import CAPABILITIES, needs_of
from testbed.emulation.sandbox import refuse_without_permission, refuse_without_tun
from testbed.errors import EnvironmentProblem, TestbedError
from testbed.measurement.probes import required_programs
from testbed.runner.plan import plan_run
from testbed.runner.preflight import (
    BASE_PROGRAMS,
    PROGRAMS_OF_MECHANISM,
    SHAPING_PROGRAMS,
    find_program,
    machine_capabilities,
)
from testbed.runner.preflight import required_programs as cluster_programs
from testbed.spec.load import load_experiment
from testbed.spec.measurement import MEASUREMENT_TYPES

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `is_required`: without it nothing runs at all."""

    name: str
    is_there: bool
    is_required: bool
    about: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("experiments", nargs=-1, type=click.Path(path_type=Path))
def doctor(experiments: tuple[Path, ...], as_json: bool) -> None:
    """Say what this machine can do, what is missing, and which EXPERIMENTS need it.

    Without EXPERIMENTS, the shipped ones are looked at. Exit code 4 if something is missing without which
    nothing runs.
    """
    checks = list(_checks())
    needs = {
        str(path): _missing_for(path, checks) for path in experiments or sorted(EXPERIMENTS.glob("*.yaml"))
    }
    if as_json:
        print_json(
            {
                "checks": [
                    {
                        "name": check.name,
                        "available": check.is_there,
                        "required": check.is_required,
                        "about": check.about,
                    }
                    for check in checks
                ],
                "experiments": {
                    path: {"runs": not missing, "missing": missing} for path, missing in needs.items()
                },
            }
        )
    else:
        print_table(
            ("", "what", "about"),
            [("ok" if check.is_there else "--", check.name, check.about) for check in checks],
        )
        click.echo()
        print_table(
            ("experiment", "runs here"),
            [
                (path, "yes" if not missing else f"no: {'; '.join(missing)}")
                for path, missing in needs.items()
            ],
        )
    lacking = [check.name for check in checks if check.is_required and not check.is_there]
    if lacking:
        raise EnvironmentProblem(f"missing: {', '.join(lacking)}", fix="`make setup` installs programs")


def _checks() -> Iterator[Check]:
    try:
        refuse_without_permission()
    except EnvironmentProblem as problem:
        yield Check("sandbox", False, True, str(problem))
        return
    yield Check("sandbox", True, True, "namespaces may be made")
    try:
        refuse_without_tun()
        yield Check("/dev/net/tun", True, False, "may be opened: needed for network plugin ovs")
    except EnvironmentProblem as problem:
        yield Check("/dev/net/tun", False, False, str(problem))
    required = BASE_PROGRAMS
    optional = SHAPING_PROGRAMS | required_programs(MEASUREMENT_TYPES)
    for programs in PROGRAMS_OF_MECHANISM.values():
        optional |= programs
    for program, package in sorted((required | optional).items()):
        where = find_program(program)
        yield Check(program, where is not None, program in required, where or f"Debian package {package}")
    available = machine_capabilities()
    for capability in CAPABILITIES:
        about = f"kernel: needed for {capability.needed_for}"
        yield Check(capability.name, available[capability.name], capability.is_required, about)


def _missing_for(path: Path, checks: list[Check]) -> list[str]:
    """Return what an experiment needs and this machine lacks."""
    lacking = {check.name for check in checks if not check.is_there}
    try:
        plan = plan_run(load_experiment(path))
    except TestbedError as error:
        return [str(error).splitlines()[0]]
    types = [measurement.type for measurement in plan.experiment.spec.measurements]
    needed = {*BASE_PROGRAMS, *required_programs(types)}
    for cluster in plan.plans.values():
        needed |= {*cluster_programs(cluster), *needs_of(cluster.underlay, cluster.state.network)}
    return sorted(needed & lacking)
