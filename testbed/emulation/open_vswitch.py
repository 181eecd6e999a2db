"""Starts each node's own Open vSwitch, and the controller that all of them connect to."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from testbed.drivers.openflow import ControllerClient
from testbed.drivers.ovs import OvsInstance
from testbed.drivers.shell import run
from testbed.emulation.processes import ManagedProcess, Processes, wait_for_line

_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_START_TIMEOUT_S = 30.0
BRIDGES = ("br-int", "br-phy")


class Controller:
    """The running controller: where bridges connect, and the client that hands it state."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self.openflow_socket = folder / "openflow.sock"
        self._state_socket = folder / "state.sock"
        self._processes = processes
        self.process = processes.start(
            "controller",
            [sys.executable, "-m", "controllers.app", str(self.openflow_socket), str(self._state_socket)],
        )

    def connect(self) -> ControllerClient:
        """Wait until the controller is ready, and connect to it.

        Raises:
            NotReady, ProcessDied: it does not come up.
        """
        wait_for_line(self.process, "ready", self._processes, _START_TIMEOUT_S)
        return ControllerClient(self._state_socket)


def create_database(folder: Path) -> Path:
    """Create the empty database that every node's copy is made from."""
    template = folder / "conf.db"
    run(["ovsdb-tool", "create", str(template), _SCHEMA])
    return template


def start_open_vswitch(
    nodes: Sequence[str], folder: Path, controller_socket: Path, datapath_type: str, processes: Processes
) -> dict[str, OvsInstance]:
    """Start ovsdb-server and ovs-vswitchd in each node's namespace; return them by node when all are up.

    Raises:
        NotReady, ProcessDied, CommandFailed: one does not come up.
    """
    template = create_database(folder)
    instances = {node: OvsInstance(folder / node, datapath_type) for node in nodes}
    databases = {node: _start_database(node, instances[node], template, processes) for node in nodes}
    for node, instance in instances.items():
        processes.wait_until(
            f"{databases[node].name} to open its socket",
            partial(accepts, instance.folder / "db.sock"),
            _START_TIMEOUT_S,
        )
        # One thread of each kind suffices for a node, and keeps the memory of many nodes small.
        settings = ["other_config:n-handler-threads=1", "other_config:n-revalidator-threads=1"]
        instance.vsctl(["--no-wait", "init", "--", "set", "Open_vSwitch", ".", *settings])
        for bridge in BRIDGES:
            (instance.folder / f"{bridge}.controller").symlink_to(controller_socket)
        _start_switch(node, instance, processes)
    for node, instance in instances.items():
        processes.wait_until(
            f"ovs-vswitchd of {node} to open its control socket",
            partial(accepts, instance.folder / "ovs-vswitchd.ctl"),
            _START_TIMEOUT_S,
        )
    return instances


def accepts(path: Path) -> bool:
    """Whether a unix socket takes connections: its file is there a moment before it does."""
    with socket.socket(socket.AF_UNIX) as trial:
        return trial.connect_ex(str(path)) == 0


def _start_database(node: str, instance: OvsInstance, template: Path, processes: Processes) -> ManagedProcess:
    folder = instance.folder
    folder.mkdir()
    (folder / "conf.db").write_bytes(template.read_bytes())
    return processes.start(
        f"ovsdb-server of {node}",
        [
            "ovsdb-server",
            f"{folder}/conf.db",
            f"--remote=punix:{folder}/db.sock",
            f"--unixctl={folder}/ovsdb-server.ctl",
            "--no-chdir",
            *_LOGGING,
        ],
        namespace=node,
        environment=_environment(folder),
    )


def _start_switch(node: str, instance: OvsInstance, processes: Processes) -> ManagedProcess:
    folder = instance.folder
    return processes.start(
        f"ovs-vswitchd of {node}",
        [
            "ovs-vswitchd",
            instance.database,
            f"--unixctl={folder}/ovs-vswitchd.ctl",
            "--no-chdir",
            *_LOGGING,
        ],
        namespace=node,
        environment=_environment(folder),
    )


_LOGGING = ("-vsyslog:off", "-vfile:off", "-vconsole:warn")


def _environment(folder: Path) -> dict[str, str]:
    return {name: str(folder) for name in ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR")}
