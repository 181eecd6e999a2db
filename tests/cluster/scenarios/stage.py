"""The inside of a scenario: builds the cluster as process 1 of a sandbox, runs scenarios, reports each."""

from __future__ import annotations

import base64
import pickle
import subprocess
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, sleep
from typing import Any

from testbed.drivers.shell import inside
from testbed.emulation.cluster import EmulatedCluster
from testbed.emulation.namespaces import pod_namespace
from testbed.emulation.processes import Processes
from testbed.emulation.sandbox import RUN_FOLDER, serve
from testbed.errors import NotReady

Scenario = Callable[[EmulatedCluster, Any], object]
"""Takes a cluster and what the test gave, returns what JSON can say."""


def main(scenarios: Mapping[str, Scenario]) -> None:
    """Be the sandbox's process 1."""

    def carry_out(wire: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> None:
        plan, given = pickle.loads(base64.b64decode(wire["pickle"]))
        with Processes(RUN_FOLDER) as processes:
            cluster = EmulatedCluster(plan.state, plan.intent, plan.underlay, processes, plan.images)
            cluster.up()
            for name, argument in given.items():
                value = scenarios[name](cluster, argument)
                emit({"event": "result", "scenario": name, "value": value})

    serve(carry_out)


def namespace_of(pod: str) -> str:
    """Return the network namespace of a Pod, given as `namespace/name`."""
    return pod_namespace(*pod.split("/", 1))


def tried(namespace: str, argv: Sequence[str], *, timeout_s: float = 30.0) -> dict[str, Any]:
    """Run a program in a namespace and return how it ended: a failure is a finding, not an error."""
    done = subprocess.run(
        inside(namespace, argv), capture_output=True, text=True, timeout=timeout_s, check=False
    )
    return {"status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def poll_until(condition: str, holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until a condition holds.

    Raises:
        NotReady: it does not in time.
    """
    deadline = monotonic() + timeout_s
    while not holds():
        if monotonic() > deadline:
            raise NotReady(condition, timeout_s, "not yet")
        sleep(0.005)
