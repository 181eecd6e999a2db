"""Open vSwitch in a running cluster: each node's own daemons, and the controller that all connect to."""

from __future__ import annotations

import socket
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from testbed.dataplanes.linux import Sysctl
from testbed.dataplanes.program import ProgramObject
from testbed.drivers import iproute
from testbed.drivers.openflow import Acknowledgement, ControllerClient, Delta
from testbed.drivers.ovs import OvsDriver, OvsInstance
from testbed.drivers.shell import run
from testbed.emulation.capabilities import resolve_datapath_type
from testbed.emulation.mechanism import ClusterChange
from testbed.emulation.namespaces import disable_transmit_checksum_offload, entered
from testbed.emulation.processes import ManagedProcess, Processes, wait_for_line
from testbed.emulation.sandbox import RUN_FOLDER
from testbed.errors import RunFailed
from testbed.intent import ClusterIntent, IntentObject

_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_START_TIMEOUT_S = 30.0
BRIDGES = ("br-int", "br-phy")


def deaf_kernel(uplink: str) -> tuple[Sysctl, ...]:
    """Return the sysctls that keep a node's kernel from answering what a user-space switch takes in.

    The switch reads frames off the uplink and the Pods' links (AF_PACKET), and the kernel sees each as
    well. It must not answer ARP there for addresses that its bridges hold (arp_ignore), and must drop
    packets whose way back leads through a bridge (rp_filter). Interfaces to come take the defaults.
    """
    return tuple(
        Sysctl(f"net/ipv4/conf/{interface}/{name}", "1")
        for interface in ("default", uplink)
        for name in ("arp_ignore", "rp_filter")
    )


class OpenVSwitch:
    """The mechanism "openvswitch" (see `mechanism.Mechanism`): bridges by database, flows by the controller.

    `switches` are the nodes' instances once started, `controller` the client once flows were handed over.
    The controller's process starts at once, so that it is ready when the bridges are.
    """

    start_stage = "Open vSwitch"
    finish_stage = "flows"

    def __init__(self, intent: ClusterIntent, datapath_type: str, processes: Processes) -> None:
        self._nodes = intent.nodes
        self._wanted_datapath = datapath_type
        self._processes = processes
        self._starting = Controller(RUN_FOLDER, processes)
        self.datapath_type = ""
        self.switches: dict[str, OvsInstance] = {}
        self.controller: ControllerClient | None = None
        self.acknowledgement: Acknowledgement | None = None

    @property
    def pods_compute_checksums(self) -> bool:
        """In user space, packets are read off the Pods' links before any hardware would have its turn."""
        return self.datapath_type == "netdev"

    def start(self) -> None:
        """Start the daemons of every node."""
        self.datapath_type = resolve_datapath_type(self._wanted_datapath)
        socket_path = self._starting.openflow_socket
        self.switches = start_open_vswitch(
            list(self._nodes), RUN_FOLDER, socket_path, self.datapath_type, self._processes
        )

    def prepare(self, node: str) -> None:
        """Keep the node's kernel out of what a user-space switch does."""
        if self.pods_compute_checksums:
            iproute.write_sysctls(node, deaf_kernel(self._nodes[node].uplink))

    def apply(self, node: str, wanted: Sequence[ProgramObject]) -> None:
        """Bring a node to its bridges and ports; its address leaves the uplink for the bridge above."""
        uplink = self._nodes[node].uplink
        iproute.batch(node, [f"addr flush dev {uplink}", f"route flush dev {uplink}"])
        OvsDriver(self.switches[node]).apply(wanted)
        if self.pods_compute_checksums:
            with entered(node):
                disable_transmit_checksum_offload(uplink)

    def finish(self, intent: ClusterIntent) -> None:
        """Hand all flows over; return when every bridge has them in force."""
        self.controller = self._starting.connect()
        self.acknowledgement = self.controller.hand_over(intent)

    def change(self, change: ClusterChange) -> None:
        """Change ports on the nodes whose own objects are touched, and flows through the controller."""
        for node, instance in self.switches.items():
            if change.touches(node):
                OvsDriver(instance).change(change.on_node(node))
        if self.controller is None:
            raise RunFailed("the controller was not handed any flows yet")
        shared = _delta(change.before.shared, change.after.shared, change.owners)
        local = {
            node: _delta(change.before.local[node], change.after.local[node], change.owners)
            for node in change.after.nodes
            if change.touches(node)
        }
        self.acknowledgement = self.controller.update(shared, local)


def _delta(
    before: Mapping[str, IntentObject], after: Mapping[str, IntentObject], owners: Collection[str]
) -> Delta:
    changed = {owner: after[owner] for owner in owners if owner in after}
    return Delta(changed, [owner for owner in owners if owner in before and owner not in after])


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
