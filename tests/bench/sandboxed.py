"""Carries out a measurement in a sandbox of its own and returns its readings."""

from __future__ import annotations

from typing import Any

from testbed.emulation.sandbox import run_in_sandbox
from testbed.errors import RunFailed
from tests.bench.case import Measured

INSIDE = "tests.bench.inside"


def measure(name: str, **numbers: int | str | list[int]) -> Measured:
    """Run one of `inside.MEASURES` in a sandbox.

    Args:
        name: its key.
        numbers: the sizes it asks for, and names.

    Raises:
        TestbedError: the cluster did not come up, or the measurement could not be carried through.
    """
    found: list[dict[str, Any]] = []
    run_in_sandbox(INSIDE, {"measure": name, "numbers": numbers}, found.append)
    if len(found) != 1:
        raise RunFailed(f"the sandbox reported {len(found)} results for '{name}'")
    return Measured(found[0]["readings"], found[0]["datapath_type"])
