"""Bridges and ports of one node's Open vSwitch, through its database: one transaction a change.

Knows nothing of flows: those are the controller's, and `openflow` speaks to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.dataplanes.openvswitch import OvsBridge, OvsPort
from testbed.dataplanes.program import Difference, ProgramObject, difference
from testbed.drivers.shell import run
from testbed.errors import RunFailed

_LOCAL_OFPORT = 65534
_NO_OFPORT = -1


@dataclass(frozen=True, slots=True)
class OvsInstance:
    """One ovsdb-server with its ovs-vswitchd: the folder of its sockets, and system or netdev."""

    folder: Path
    datapath_type: str

    @property
    def database(self) -> str:
        """The database's address for the tools."""
        return f"unix:{self.folder}/db.sock"

    def vsctl(self, arguments: Sequence[str], *, timeout_s: float = 30.0) -> str:
        """Run `ovs-vsctl`.

        Raises:
            CommandFailed, NotReady: it did not work, or not in time (then ovs-vswitchd is not running).
        """
        whole = ["ovs-vsctl", f"--db={self.database}", f"--timeout={int(timeout_s)}", *arguments]
        return run(whole, timeout_s=timeout_s + 5)

    def appctl(self, *arguments: str) -> str:
        """Run `ovs-appctl` against ovs-vswitchd."""
        return run(["ovs-appctl", "-t", f"{self.folder}/ovs-vswitchd.ctl", *arguments])


class OvsDriver:
    """Bridges and ports of one node (see `driver.Driver`)."""

    def __init__(self, instance: OvsInstance) -> None:
        self._instance = instance

    def observe(self, wanted: Sequence[ProgramObject]) -> tuple[ProgramObject, ...]:
        """Return those of the wanted bridges and ports that are up; ports have an OpenFlow number then."""
        held = observe(self._instance)
        return tuple(thing for thing in _own(wanted) if thing.key in held)

    def apply(self, wanted: Sequence[ProgramObject]) -> None:
        """Add the bridges and ports that are missing, in one transaction, and verify that each came up.

        Raises:
            RunFailed: Open vSwitch accepted a port and then could not open it.
        """
        missing = difference(self.observe(wanted), _own(wanted))
        if not missing:
            return
        self.change(missing)
        left = difference(self.observe(wanted), _own(wanted))
        if left:
            told = "; ".join(thing.text() for thing in left.added)
            raise RunFailed(f"Open vSwitch could not open: {told}", where=str(self._instance.folder))

    def change(self, change: Difference) -> None:
        """Remove ports and add bridges and ports, in one transaction; what is gone already is no error."""
        arguments: list[str] = []
        for thing in _own((*change.removed, *change.replaced)):
            if isinstance(thing, OvsPort):
                arguments += ["--", "--if-exists", "del-port", thing.bridge, thing.name]
        for thing in _own((*change.added, *change.replaced)):
            if isinstance(thing, OvsBridge):
                arguments += ["--", *_add_bridge(thing, self._instance)]
            else:
                arguments += ["--", *_add_port(thing)]
        if arguments:
            self._instance.vsctl(arguments[1:])


def _own(things: Iterable[ProgramObject]) -> list[OvsBridge | OvsPort]:
    return [thing for thing in things if isinstance(thing, OvsBridge | OvsPort)]


def observe(instance: OvsInstance) -> set[str]:
    """Return the keys of the bridges and ports that are up (ports with an OpenFlow number)."""
    bridges, port_rows, interfaces = _tables(
        instance,
        ("Bridge", "name,ports"),
        ("Port", "_uuid,name,interfaces"),
        ("Interface", "name,ofport"),
    )
    ports = {row["_uuid"]: row for row in port_rows}
    numbers = {row["name"]: row["ofport"] for row in interfaces}
    keys = set()
    for bridge in bridges:
        keys.add(f"bridge {bridge['name']}")
        for uuid in _as_list(bridge["ports"]):
            name = ports[uuid]["name"]
            if numbers.get(name) not in {None, _NO_OFPORT, _LOCAL_OFPORT}:
                keys.add(f"port {bridge['name']} {name}")
    return keys


def _add_bridge(bridge: OvsBridge, instance: OvsInstance) -> list[str]:
    name = bridge.name
    return [
        "add-br",
        name,
        "--",
        "set",
        "bridge",
        name,
        f"datapath_type={instance.datapath_type}",
        "fail_mode=secure",
        "protocols=OpenFlow13,OpenFlow15",
        f"other_config:datapath-id={bridge.datapath_id:016x}",
        f'other_config:hwaddr="{bridge.mac}"',
        "other_config:disable-in-band=true",
        "--",
        "set-controller",
        name,
        # Open vSwitch takes a unix path only if it is <rundir>/<bridge>.controller: a symbolic link leads on.
        f"unix:{instance.folder}/{name}.controller",
        "--",
        "set",
        "controller",
        name,
        "inactivity_probe=30000",
        "max_backoff=1000",
        "controller_rate_limit=1000",
        "controller_burst_limit=250",
    ]


def _add_port(port: OvsPort) -> list[str]:
    settings = [f"ofport_request={port.ofport}"]
    if port.type:
        settings.append(f"type={port.type}")
    settings += [f"options:{key}={value}" for key, value in port.options]
    return ["add-port", port.bridge, port.name, "--", "set", "interface", port.name, *settings]


def _tables(instance: OvsInstance, *tables: tuple[str, str]) -> list[list[dict[str, Any]]]:
    """Return the rows of tables, given as (name, columns), in one call: a JSON object a line."""
    arguments = ["--format=json"]
    for name, columns in tables:
        arguments += ["--", f"--columns={columns}", "list", name]
    answers = [json.loads(line) for line in instance.vsctl(arguments).splitlines()]
    return [
        [
            {head: _plain(value) for head, value in zip(answer["headings"], row, strict=True)}
            for row in answer["data"]
        ]
        for answer in answers
    ]


def _plain(value: Any) -> Any:  # Any: OVSDB's JSON (RFC 7047 section 5.1)
    if isinstance(value, list) and len(value) == 2:
        kind, content = value
        if kind == "uuid":
            return content
        if kind == "set":
            plain = [_plain(item) for item in content]
            return plain or None
    return value


def _as_list(value: Any) -> list[Any]:  # Any: OVSDB writes a set of one as the thing itself
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
