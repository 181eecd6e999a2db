"""Time to connect through a Service: by its place, and by how a group chooses. Runs inside a sandbox."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

from testbed.cluster.state import PodState
from testbed.drivers.shell import run
from testbed.emulation.cluster import EmulatedCluster
from testbed.emulation.namespaces import pod_namespace
from testbed.emulation.processes import Processes
from testbed.emulation.sandbox import RUN_FOLDER
from testbed.errors import RunFailed
from testbed.inet import IPAddress
from testbed.measurement import connect_client
from tests.bench.bring_up import built, open_vswitch
from tests.bench.generated import (
    ENDPOINTS,
    SERVICE_PORT,
    deployment,
    plan,
    selecting_services,
    service_name,
)

NODES = 2
_ROUNDS = 4
_WARMUP = 20
Connect = Callable[[IPAddress], list[float]]


def measure_position(services: int, connections: int) -> tuple[dict[str, float], str]:
    """Connect to the first, the middle and the last of these Services, in turns; medians in microseconds."""
    with Processes(RUN_FOLDER) as processes:
        cluster = _cluster(services, processes)
        places = {"first": 0, "middle": services // 2, "last": services - 1}
        taken_us: dict[str, list[float]] = {place: [] for place in places}
        for _ in range(_ROUNDS):
            for place, number in places.items():
                taken_us[place] += _connect(cluster, number, connections // _ROUNDS)
        return {place: median(values) for place, values in taken_us.items()}, cluster.datapath_type


def measure_selection(connections: int) -> tuple[dict[str, float], str]:
    """Connect through a group with dp_hash as the pipeline makes it, and with hash over fields, in turns."""
    with Processes(RUN_FOLDER) as processes:
        cluster = _cluster(1, processes)
        groups = _Groups(cluster)
        taken_us: dict[str, list[float]] = {"dp_hash": [], "hash": []}
        for _ in range(_ROUNDS):
            for method in taken_us:
                groups.select_by(method)
                taken_us[method] += _connect(cluster, 0, connections // _ROUNDS)
        readings = {method: median(values) for method, values in taken_us.items()}
        readings["hash / dp_hash"] = readings["hash"] / readings["dp_hash"]
        return readings, cluster.datapath_type


def _cluster(services: int, processes: Processes) -> EmulatedCluster:
    documents = [
        *selecting_services(services, "server"),
        deployment("server", ENDPOINTS),
        deployment("client", NODES),
    ]
    return built(plan(NODES, documents), processes)


def _connect(cluster: EmulatedCluster, number: int, count: int) -> list[float]:
    """Return how many microseconds each connection to a Service took.

    Raises:
        RunFailed: not every connection came about.
    """
    service = cluster.state.services[f"default/{service_name(number)}"]
    client = _client(cluster)
    argv = [sys.executable, "-I", connect_client.__file__, str(service.cluster_ips[0]), str(SERVICE_PORT)]
    namespace = pod_namespace(client.namespace, client.name)
    said = json.loads(run([*argv, str(count), "--warmup", str(_WARMUP)], namespace=namespace))
    if said["errors"]:
        raise RunFailed(f"connections to {service.qualified_name} failed: {said['errors']}")
    return [nanoseconds / 1000 for nanoseconds in said["connect_ns"]]


def _client(cluster: EmulatedCluster) -> PodState:
    return next(pod for pod in cluster.running_pods() if pod.labels["app"] == "client")


class _Groups:
    """The groups of the client's node, and rewriting how they select."""

    _METHOD = re.compile(
        r"selection_method=[^,]+(,selection_method_param=\d+)?(,fields\([^)]*\)|,fields=\w+)?"
    )

    def __init__(self, cluster: EmulatedCluster) -> None:
        folder: Path = open_vswitch(cluster).switches[_client(cluster).node].folder
        self._target = f"unix:{folder}/br-int.mgmt"
        lines = self._ofctl("dump-groups").splitlines()
        self._groups = [line.strip() for line in lines if "group_id=" in line]

    def select_by(self, method: str) -> None:
        """Make every group select as the pipeline has it ("dp_hash"), or by a hash over source fields."""
        for group in self._groups:
            text = group if method == "dp_hash" else self._hashed(group)
            self._ofctl("mod-group", text)

    def _hashed(self, group: str) -> str:
        text, count = self._METHOD.subn("selection_method=hash,fields(ip_src,tcp_src)", group, count=1)
        if count != 1:
            raise RunFailed(f"a group without a selection method: {group}")
        return text

    def _ofctl(self, verb: str, *arguments: str) -> str:
        return run(["ovs-ofctl", "-O", "OpenFlow15", verb, self._target, *arguments])
