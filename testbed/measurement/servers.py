"""The servers' side of a trial: started, waited for until they listen, and looked after."""

from __future__ import annotations

from contextlib import ExitStack

from testbed.errors import NotReady, ProcessDied
from testbed.measurement.clock import Clock
from testbed.measurement.errors import excerpt
from testbed.measurement.host import Host, Path, RunningProgram
from testbed.measurement.readings import Exchange, Listener
from testbed.measurement.surroundings import Surroundings

LISTEN_TIMEOUT_S = 10.0
LISTEN_POLL_S = 0.02

Servers = tuple[tuple[Host, RunningProgram], ...]


def start_servers(exchange: Exchange, path: Path, surroundings: Surroundings, stack: ExitStack) -> Servers:
    """Start the servers of an exchange, which then live as long as the stack, and wait until they listen.

    Raises:
        ProcessDied, NotReady: one does not come up.
    """
    listener = exchange.listener
    if listener is None:
        return ()
    servers = tuple(
        (host, stack.enter_context(host.start(listener.argv, cpu=surroundings.pinning.server)))
        for host in path.servers
    )
    for host, program in servers:
        _await_listening(host, program, listener, surroundings.clock)
    return servers


def _await_listening(host: Host, program: RunningProgram, listener: Listener, clock: Clock) -> None:
    """Wait until a server listens.

    Raises:
        ProcessDied: it ended instead.
        NotReady: it does not listen after LISTEN_TIMEOUT_S.
    """
    deadline_s = clock.now_s() + LISTEN_TIMEOUT_S
    while not host.is_listening(listener.protocol, listener.port):
        status = program.poll()
        if status is not None:
            raise ProcessDied(_obituary(host, program, status), where=host.name)
        if clock.now_s() >= deadline_s:
            socket = f"{listener.argv[0]} to listen on {listener.protocol} port {listener.port}"
            raise NotReady(socket, LISTEN_TIMEOUT_S, _last_words(program), where=host.name)
        clock.pause(LISTEN_POLL_S)


def refuse_dead_server(servers: Servers, complaint: str = "") -> None:
    """Raise ProcessDied if a server had failed under the client, whoever then answered it.

    Status 0 is one that served and went. `complaint` is what the client had to say.
    """
    for host, program in servers:
        status = program.poll()
        if status:
            raise ProcessDied(f"{complaint}{_obituary(host, program, status)}", where=host.name)


def _obituary(host: Host, program: RunningProgram, status: int) -> str:
    return f"the server on {host.name} ended with status {status}; it printed: {_last_words(program)}"


def _last_words(program: RunningProgram) -> str:
    return excerpt(program.output()) or "(nothing)"
