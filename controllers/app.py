"""The controller: a Ryu application that keeps switches at what the testbed wants.

Two unix sockets. Bridges connect to one, in OpenFlow 1.5. The testbed connects to the other and sends
requests as JSON lines: a snapshot, then updates, each acknowledged after a barrier from every bridge it
touches. Nothing here decides what a flow should be: `pipeline` does. A bridge that connects, or connects
again, is asked what it holds and gets the difference, so a restarted controller disturbs no traffic. Packets
that bridges send up are those to a Service that cannot take them; the answer is a refusal.

Run as `python -m controllers.app OPENFLOW_SOCKET STATE_SOCKET`; prints "ready" when both sockets are open.
"""

from __future__ import annotations

import json
import logging
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import Any

from controllers.ryu_compat import UnixStream, configure

import eventlet
from ryu.base import app_manager
from ryu.controller import controller, ofp_event, ofp_handler
from ryu.controller.handler import CONFIG_DISPATCHER, DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_5
from ryu.ofproto import ofproto_v1_5_parser as parser

from controllers.pipeline.tables import VIRTUAL_ROUTER_MAC
from controllers.refusal import refusal
from controllers.synchronise import Synchroniser
from testbed.intent_wire import node_from_wire, objects_from_wire

Json = dict[str, Any]  # a JSON object; its values are checked where they are read
_CONNECTIONS_MAX = 4096
_LOG = logging.getLogger("controller")


class PipelineController(app_manager.RyuApp):
    """Translates Ryu's events; all knowledge of what should be where is the synchroniser's."""

    OFP_VERSIONS = (ofproto_v1_5.OFP_VERSION,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: Ryu's own arguments
        super().__init__(*args, **kwargs)
        self._synchroniser = Synchroniser()

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    def _on_state(self, event: Any) -> None:  # Any: Ryu's event
        if event.state == MAIN_DISPATCHER:
            hub.spawn(self._synchroniser.connected, event.datapath)
        elif event.datapath.id is not None:
            self._synchroniser.disconnected(event.datapath)

    @set_ev_cls(ofp_event.EventOFPBarrierReply, MAIN_DISPATCHER)
    def _on_barrier(self, event: Any) -> None:  # Any: Ryu's event
        self._synchroniser.answered(event.msg.datapath, event.msg.xid, [], is_last=True)

    @set_ev_cls(
        [ofp_event.EventOFPFlowDescStatsReply, ofp_event.EventOFPGroupDescStatsReply], MAIN_DISPATCHER
    )
    def _on_description(self, event: Any) -> None:  # Any: Ryu's event
        message = event.msg
        is_last = not message.flags & ofproto_v1_5.OFPMPF_REPLY_MORE
        self._synchroniser.answered(message.datapath, message.xid, message.body, is_last=is_last)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def _on_error(self, event: Any) -> None:  # Any: Ryu's event
        message = event.msg
        what = f"OpenFlow error type {message.type}, code {message.code}"
        self._synchroniser.refused(message.datapath, message.xid, what)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def _on_packet(self, event: Any) -> None:  # Any: Ryu's event
        message = event.msg
        answer = refusal(bytes(message.data), VIRTUAL_ROUTER_MAC)
        if answer is None:
            return
        message.datapath.send_msg(
            parser.OFPPacketOut(
                message.datapath,
                buffer_id=ofproto_v1_5.OFP_NO_BUFFER,
                match=parser.OFPMatch(in_port=ofproto_v1_5.OFPP_CONTROLLER),
                actions=[parser.OFPActionOutput(message.match["in_port"])],
                data=answer,
            )
        )

    def serve(self, stream: Any, _address: object) -> None:  # Any: eventlet's green socket
        """Answer a client's requests, a line each, until it goes."""
        lines = stream.makefile("rw", encoding="utf-8")
        for line in lines:
            lines.write(json.dumps(self._answer(line)) + "\n")
            lines.flush()

    def _answer(self, line: str) -> Json:
        began = monotonic()
        try:
            request = json.loads(line)
            reply = _REQUESTS[request["op"]](self._synchroniser, request)
        except (KeyError, ValueError, TypeError) as error:
            _LOG.exception("a request could not be carried out")
            return {"ok": False, "errors": [f"{type(error).__name__}: {error}"]}
        return {"ok": not reply.get("errors"), "seconds": monotonic() - began, **reply}


def _snapshot(synchroniser: Synchroniser, request: Json) -> Json:
    return synchroniser.snapshot(
        [node_from_wire(wire) for wire in request["nodes"]],
        objects_from_wire(request["shared"]),
        {name: objects_from_wire(wires) for name, wires in request["local"].items()},
        timeout_s=float(request["timeout"]),
    )


def _update(synchroniser: Synchroniser, request: Json) -> Json:
    return synchroniser.update(
        (objects_from_wire(request["shared"]["set"]), request["shared"]["delete"]),
        {
            name: (objects_from_wire(change["set"]), change["delete"])
            for name, change in request["local"].items()
        },
        timeout_s=float(request["timeout"]),
    )


_REQUESTS: dict[str, Callable[[Synchroniser, Json], Json]] = {
    "snapshot": _snapshot,
    "update": _update,
    "observe": lambda synchroniser, request: synchroniser.observe(float(request["timeout"])),
    "status": lambda synchroniser, _request: synchroniser.status(),
}


def _listen(path: str) -> Any:  # Any: eventlet's green socket
    Path(path).unlink(missing_ok=True)
    return eventlet.listen(path, family=socket.AF_UNIX)


def _accept_switch(stream: Any, _address: object) -> None:  # Any: eventlet's green socket
    controller.datapath_connection_factory(UnixStream(stream), ("unix", 0))


def main(arguments: Iterable[str]) -> None:
    """Run until the process is ended."""
    openflow_socket, state_socket = arguments
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    configure()
    apps = app_manager.AppManager.get_instance()
    # Ryu's own handler does the handshake; its TCP listener is never started: bridges come by the unix
    # socket, which stands in for the management network that there is not.
    handshake = apps.instantiate(ofp_handler.OFPHandler)
    pipeline = apps.instantiate(PipelineController)
    for app in (handshake, pipeline):
        app_manager.RyuApp.start(app)
    servers = [
        hub.spawn(eventlet.serve, _listen(openflow_socket), _accept_switch, concurrency=_CONNECTIONS_MAX),
        hub.spawn(eventlet.serve, _listen(state_socket), pipeline.serve),
    ]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    hub.joinall(servers)


if __name__ == "__main__":
    main(sys.argv[1:])
