"""Process 1 of a benchmark's sandbox: carries out the measurement that the job names, and reports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testbed.emulation.sandbox import serve
from tests.bench import bring_up, changing, connecting, host_gw, loading, pod_creation, probing

Json = dict[str, Any]  # a JSON object; its values are checked where they are read

MEASURES: dict[str, Callable[..., tuple[dict[str, float], str]]] = {
    "bring-up": bring_up.measure,
    "pods-alone": pod_creation.measure_pods,
    "mininet-hosts": pod_creation.measure_mininet,
    "services": changing.measure,
    "probe": probing.measure,
    "connect": connecting.measure_position,
    "selection": connecting.measure_selection,
    "host-gw": host_gw.measure,
    "loading": loading.measure,
}
"""Each takes the job's numbers and returns its readings and the datapath type ("" without a cluster)."""


def run_job(job: Json, emit: Callable[[Json], None]) -> None:
    """Carry out the job of a JSON line."""
    readings, datapath_type = MEASURES[job["measure"]](**job["numbers"])
    emit({"event": "measured", "readings": readings, "datapath_type": datapath_type})


if __name__ == "__main__":
    serve(run_job)
