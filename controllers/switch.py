"""One connected bridge, as the controller talks to it: messages, barriers, errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import controllers.ryu_compat  # noqa: F401 - must come before Ryu

import eventlet
import eventlet.event
from ryu.ofproto import ofproto_v1_5_parser as parser

from controllers.encode import Message
from testbed.dataplanes.openflow import Flow, Group
from testbed.dataplanes.program import Difference

_BATCH_BYTES = 60_000
"""Messages are handed to the socket in batches of about this size, so that other switches get their turn."""


@dataclass(slots=True)
class Switch:
    """A bridge that is connected. `answers` maps the transaction id of a request to where its reply goes."""

    node: str
    bridge: str
    datapath: Any  # Ryu's Datapath, which has no types
    answers: dict[int, Any] = field(default_factory=dict)  # Any: eventlet's Event, which has no types
    replies: dict[int, list[Any]] = field(default_factory=dict)  # Any: parts of Ryu's multipart replies
    errors: list[str] = field(default_factory=list)
    is_installed: bool = False

    def send(self, messages: Iterable[Message]) -> None:
        """Queue messages; they reach the switch in this order."""
        batch = bytearray()
        for message in messages:
            batch += message.data
            if len(batch) > _BATCH_BYTES:
                self.datapath.send(bytes(batch))
                batch.clear()
        if batch:
            self.datapath.send(bytes(batch))

    def barrier(self) -> Any:  # Any: eventlet's Event
        """Ask for a barrier; the returned event fires when everything sent so far is in force."""
        return self._request(parser.OFPBarrierRequest(self.datapath))

    def flows(self) -> Any:  # Any: eventlet's Event
        """Ask for all flows; the event delivers a list of Ryu's flow descriptions."""
        ofproto = self.datapath.ofproto
        return self._request(
            parser.OFPFlowDescStatsRequest(
                self.datapath,
                0,
                ofproto.OFPTT_ALL,
                ofproto.OFPP_ANY,
                ofproto.OFPG_ANY,
                0,
                0,
                parser.OFPMatch(),
            )
        )

    def groups(self) -> Any:  # Any: eventlet's Event
        """Ask for all groups; the event delivers a list of Ryu's group descriptions."""
        return self._request(
            parser.OFPGroupDescStatsRequest(self.datapath, 0, self.datapath.ofproto.OFPG_ALL)
        )

    def answered(self, xid: int, part: list[Any], is_last: bool) -> None:  # Any: Ryu's reply parts
        """Take a reply, or a part of one."""
        if xid in self.answers:
            self.replies.setdefault(xid, []).extend(part)
            if is_last:
                self.answers.pop(xid).send(self.replies.pop(xid))

    def closed(self) -> None:
        """Let everything that waits for this switch go on: it will not answer any more."""
        for event in self.answers.values():
            event.send(None)
        self.answers.clear()

    def _request(self, message: Any) -> Any:  # Any: Ryu's message, eventlet's Event
        self.datapath.set_xid(message)
        event = eventlet.event.Event()
        self.answers[message.xid] = event
        self.datapath.send_msg(message)
        return event


def ordered(change: Difference) -> tuple[list[tuple[str, Group]], list[tuple[str, Flow]], list[Group]]:
    """Return what to do in an order in which no packet meets a flow without its group.

    First groups that come or change, then flows (removals first: a replaced flow is an addition), last the
    groups that go, because a switch drops a group's flows with it.
    """
    groups = [("add", thing) for thing in change.added if isinstance(thing, Group)]
    groups += [("modify", thing) for thing in change.replaced if isinstance(thing, Group)]
    flows = [("add", thing) for thing in (*change.added, *change.replaced) if isinstance(thing, Flow)]
    flows += [("remove", thing) for thing in change.removed if isinstance(thing, Flow)]
    return groups, flows, [thing for thing in change.removed if isinstance(thing, Group)]
