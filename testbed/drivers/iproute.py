"""The kernel's networking of a node, through iproute2: links, addresses, routes, neighbours, sysctls.

Writes in batches, few processes however large the program; `iproute_reading` says what is there. A Pod's
inside is not this driver's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from testbed.dataplanes.linux import (
    Bridge,
    BridgePort,
    ForwardingEntry,
    InterfaceAddress,
    KernelObject,
    Link,
    LinkSetting,
    Neighbour,
    Route,
    Sysctl,
    VxlanLink,
)
from testbed.dataplanes.program import Difference, ProgramObject, difference
from testbed.drivers.iproute_reading import in_force, read
from testbed.drivers.shell import run
from testbed.errors import CommandFailed, RunFailed

_ORDER = (LinkSetting, Bridge, VxlanLink, BridgePort, InterfaceAddress, Neighbour, Route, ForwardingEntry)
"""What is written first to last. As in flannel, a neighbour is known before a route needs it."""

_ALREADY_GONE = ("Cannot find device", "No such process", "No such file", "ddress not found", "Cannot assign")
"""What iproute2 says of a link, a route, an FDB entry and an address (two kernels) that is not there."""


def batch(namespace: str, lines: Iterable[str]) -> None:
    """Run lines of `ip` commands in one process.

    Raises:
        CommandFailed: one of them failed; those before it are in force.
    """
    text = "\n".join(lines)
    if text:
        run(["ip", "-batch", "-"], namespace=namespace, stdin=text + "\n")


def write_sysctls(namespace: str, settings: Sequence[Sysctl]) -> None:
    """Set sysctls of a namespace.

    Raises:
        CommandFailed: the kernel has no such sysctl, or refuses the value.
    """
    if settings:
        pairs = [f"{setting.path}={setting.value}" for setting in settings]
        run(["sysctl", "-q", "-w", *pairs], namespace=namespace)


class IprouteDriver:
    """The kernel's own networking of a namespace, "" for the one we are in (see `driver.Driver`)."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._applied: dict[str, KernelObject] = {}

    def observe(self, wanted: Sequence[ProgramObject]) -> tuple[KernelObject, ...]:
        """Return those of the wanted objects that the kernel has, as it has them; no link that is down.

        Raises:
            CommandFailed: the kernel cannot be read.
        """
        mine = _own(wanted)
        return in_force(read(self._namespace, mine), mine)

    def apply(self, wanted: Sequence[ProgramObject]) -> None:
        """Write the sysctls, from which links take their defaults, then what is missing or different.

        A bridge or VTEP of another make is deleted and made again, and what stands on it written again.

        Raises:
            CommandFailed: the kernel refuses something, or an interface that is asked for is not there.
            RunFailed: something is not in force afterwards.
        """
        mine = _own(wanted)
        write_sysctls(self._namespace, [thing for thing in mine if isinstance(thing, Sysctl)])
        kernel = read(self._namespace, mine)
        left = difference(in_force(kernel, mine), mine)
        if left:
            self._write(left, mine, kernel.links(mine))
            left = difference(self.observe(mine), mine)
        if left:
            missing = "; ".join(
                line for thing in (*left.added, *left.replaced) for line in thing.text().splitlines()
            )
            raise RunFailed(f"not in force after it was set: {missing}", where=self._namespace)
        self._applied = {thing.key: thing for thing in mine}

    def change(self, change: Difference) -> None:
        """Delete what is removed, then write what is added or replaced; nothing is observed.

        What is gone already is no error. Settings of links, and sysctls, that are removed stay as they
        are: nobody knows what they were.

        Raises:
            CommandFailed: the kernel refuses something, or an interface that is asked for is not there.
        """
        removed, written = _own(change.removed), _own((*change.added, *change.replaced))
        self._delete(sorted(removed, key=_rank, reverse=True))
        write_sysctls(self._namespace, [thing for thing in written if isinstance(thing, Sysctl)])
        gone = {thing.key for thing in removed}
        before = {key: thing for key, thing in self._applied.items() if key not in gone}
        after = before | {thing.key: thing for thing in written}
        held = {thing.interface: thing for thing in before.values() if isinstance(thing, Link)}
        self._write(change, after.values(), held)
        self._applied = after

    def _write(self, change: Difference, whole: Iterable[KernelObject], held: Mapping[str, Link]) -> None:
        """Write what is added or replaced, and again what stands on links among it.

        A link that changes its MAC or is made again loses entries that were there when it was looked at.

        Args:
            change: what to write; `removed` is left alone.
            whole: all that is to be in force afterwards.
            held: the links there are, by name.
        """
        written = _own((*change.added, *change.replaced))
        links = {thing.interface for thing in written if isinstance(thing, Link)}
        again = [thing for thing in whole if _stands_on(thing, links)]
        todo = {thing.key: thing for thing in (*written, *again)}
        ordered = sorted(todo.values(), key=_rank)
        batch(self._namespace, [line for thing in ordered for line in _ip_lines(thing, held)])
        entries = [thing.text() for thing in ordered if isinstance(thing, ForwardingEntry)]
        if entries:
            run(["bridge", "-batch", "-"], namespace=self._namespace, stdin="\n".join(entries) + "\n")

    def _delete(self, things: Sequence[KernelObject]) -> None:
        for program in ("ip", "bridge"):
            lines = [line for thing in things if (line := _deletion(thing)) and _program_of(thing) == program]
            if lines:
                _run_where_there(self._namespace, program, lines)


def _own(things: Iterable[ProgramObject]) -> list[KernelObject]:
    return [thing for thing in things if isinstance(thing, KernelObject)]


def _rank(thing: KernelObject) -> int:
    return len(_ORDER) if isinstance(thing, Sysctl) else _ORDER.index(type(thing))


def _stands_on(thing: KernelObject, links: set[str]) -> bool:
    if isinstance(thing, Sysctl | Link):
        return False
    return thing.interface in links or (isinstance(thing, BridgePort) and thing.bridge in links)


def _ip_lines(thing: KernelObject, held: Mapping[str, Link]) -> tuple[str, ...]:
    """Return the lines of `ip -batch` that bring an object about; `held` are the links there are."""
    if isinstance(thing, ForwardingEntry | Sysctl):
        return ()
    if not isinstance(thing, Bridge | VxlanLink):
        return (thing.text(),)
    there = held.get(thing.interface)
    if there is None:
        return (thing.text(),)
    if isinstance(there, type(thing)) and replace(there, mtu_bytes=thing.mtu_bytes, mac=thing.mac) == thing:
        return (LinkSetting(thing.interface, thing.mtu_bytes, thing.mac).text(),)
    return (f"link del {thing.interface}", thing.text())


def _deletion(thing: KernelObject) -> str:
    """Return the line that deletes an object; "" where there is nothing to delete."""
    line = ""
    match thing:
        case Bridge() | VxlanLink():
            line = f"link del {thing.interface}"
        case BridgePort():
            line = f"link set {thing.interface} nomaster"
        case InterfaceAddress():
            line = f"addr del {thing.address}/{thing.prefix_length} dev {thing.interface}"
        case Neighbour():
            # `neigh del` of an entry that is not there ends the whole batch, -force or not.
            line = f"neigh flush to {thing.address} dev {thing.interface} nud permanent"
        case Route():
            via = f" via {thing.gateway}" if thing.gateway else ""
            line = f"route del {thing.destination}{via} dev {thing.interface}"
        case ForwardingEntry():
            line = f"fdb del {thing.mac} dev {thing.interface} self"
    return line


def _program_of(thing: KernelObject) -> str:
    return "bridge" if isinstance(thing, ForwardingEntry) else "ip"


def _run_where_there(namespace: str, program: str, deletions: Sequence[str]) -> None:
    """Run deletions in one process; what is gone already is no error.

    Raises:
        CommandFailed: one of them failed for another reason.
    """
    try:
        run([program, "-force", "-batch", "-"], namespace=namespace, stdin="\n".join(deletions) + "\n")
    except CommandFailed as error:
        said = [line for line in error.stderr.splitlines() if not line.startswith("Command failed -")]
        if not said or any(not any(gone in line for gone in _ALREADY_GONE) for line in said):
            raise
