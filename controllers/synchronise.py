"""Keeps every connected bridge at the desired entries: observe, send the difference, wait for the barrier.

Runs in the controller's process, in eventlet's green threads; knows OpenFlow messages but not Ryu's events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from time import monotonic
from typing import Any

import eventlet

from controllers.decode import decode_flow, decode_group
from controllers.desired import Change, Desired
from controllers.encode import (
    Message,
    encode_flow,
    encode_group,
    encode_group_removal,
)
from controllers.pipeline.tables import BRIDGES, datapath_id
from controllers.switch import Switch, ordered
from testbed.dataplanes.openflow import Flow, Group
from testbed.dataplanes.program import Difference, difference
from testbed.intent import IntentObject, NodeIdentity

_INSTALL_TIMEOUT_S = 60.0
Json = dict[str, Any]  # a JSON object that is about to be sent
Delta = tuple[Mapping[str, IntentObject], Iterable[str]]
"""Objects to set, and keys of objects to remove."""


class Synchroniser:
    """The desired state and the switches that are to have it."""

    def __init__(self) -> None:
        self._desired = Desired()
        self._switches: dict[int, Switch] = {}
        self._waiting: dict[int, Any] = {}  # Any: Ryu's datapaths that connected before any snapshot
        self._names: dict[int, tuple[str, str]] = {}
        self._one_at_a_time = eventlet.semaphore.Semaphore()
        self._xids = count(1)
        self._about: dict[int, str] = {}

    # --- what the testbed asks -------------------------------------------------------------------------

    def snapshot(
        self,
        nodes: Iterable[NodeIdentity],
        shared: Mapping[str, IntentObject],
        local: Mapping[str, Mapping[str, IntentObject]],
        timeout_s: float,
    ) -> Json:
        """Take a whole new state, and bring every bridge of every node to it."""
        deadline = monotonic() + timeout_s
        with self._one_at_a_time:
            return self._take_snapshot(nodes, shared, local, deadline)

    def _take_snapshot(
        self,
        nodes: Iterable[NodeIdentity],
        shared: Mapping[str, IntentObject],
        local: Mapping[str, Mapping[str, IntentObject]],
        deadline: float,
    ) -> Json:
        self._desired.replace(nodes, shared, local)
        self._names = {
            datapath_id(node.index, bridge): (node.name, bridge)
            for node in self._desired.nodes.values()
            for bridge in BRIDGES
        }
        missing = self._wait_for_switches(deadline)
        if missing:
            return {"errors": [f"no connection from {', '.join(missing)} in time"]}
        switches = [self._switches[dpid] for dpid in sorted(self._names)]
        observed = self._observe(switches, deadline)
        if any(held is None for held in observed):
            return {"errors": ["a bridge does not say what it holds"]}
        sent = self._install(switches, observed)
        return {"entries": sent, **self._barrier(switches, deadline)}

    def update(self, shared: Delta, local: Mapping[str, Delta], timeout_s: float) -> Json:
        """Change some objects, and only what they touch."""
        deadline = monotonic() + timeout_s
        with self._one_at_a_time:
            return self._take_update(shared, local, deadline)

    def _take_update(self, shared: Delta, local: Mapping[str, Delta], deadline: float) -> Json:
        everywhere = self._desired.update_shared(*shared)
        touched: dict[int, Switch] = {}
        entries = self._send_changes(everywhere, self._named_switches(), touched)
        for name, delta in local.items():
            changes = self._desired.update_local(name, *delta)
            entries += self._send_changes(changes, self._named_switches(name), touched)
        return {"entries": entries, **self._barrier(list(touched.values()), deadline)}

    def observe(self, timeout_s: float) -> Json:
        """Return, per bridge, how what it holds differs from what it should: empty lists when all is well."""
        switches = [switch for _, switch in sorted(self._switches.items())]
        observed = self._observe(switches, monotonic() + timeout_s)
        differences = {}
        for switch, held in zip(switches, observed, strict=True):
            if held is None:
                differences[f"{switch.node}/{switch.bridge}"] = {"unanswered": ["what it holds"]}
                continue
            delta = difference(held, _comparable(self._desired.entries(switch.node, switch.bridge)))
            differences[f"{switch.node}/{switch.bridge}"] = {
                "missing": [thing.text() for thing in delta.added],
                "different": [thing.text() for thing in delta.replaced],
                "unwanted": [thing.text() for thing in delta.removed],
            }
        return {"differences": differences}

    def status(self) -> Json:
        """Return which bridges are connected."""
        return {"connected": sorted(f"{switch.node}/{switch.bridge}" for switch in self._switches.values())}

    # --- what the switches do --------------------------------------------------------------------------

    def connected(self, datapath: Any) -> None:  # Any: Ryu's Datapath
        """Take a bridge that has shaken hands; bring it to the desired state if that is known."""
        if datapath.id not in self._names:
            self._waiting[datapath.id] = datapath
            return
        switch = self._adopt(datapath)
        with self._one_at_a_time:
            if not switch.is_installed:
                self._install([switch], self._observe([switch], monotonic() + _INSTALL_TIMEOUT_S))

    def disconnected(self, datapath: Any) -> None:  # Any: Ryu's Datapath
        """Forget a bridge, unless it has connected anew in the meantime."""
        self._waiting.pop(datapath.id, None)
        switch = self._switches.get(datapath.id)
        if switch is not None and switch.datapath is datapath:
            del self._switches[datapath.id]
            switch.closed()

    def answered(self, datapath: Any, xid: int, part: list[Any], *, is_last: bool) -> None:  # Any: Ryu's
        """Take a barrier reply or a part of a description."""
        switch = self._switches.get(datapath.id)
        if switch is not None:
            switch.answered(xid, part, is_last)

    def refused(self, datapath: Any, xid: int, what: str) -> None:  # Any: Ryu's Datapath
        """Take an error message: it is reported with the next acknowledgement."""
        switch = self._switches.get(datapath.id)
        if switch is not None:
            about = self._about.get(xid, f"request {xid}")
            switch.errors.append(f"{switch.node}/{switch.bridge}: {what}: {about}")

    # --- inside ----------------------------------------------------------------------------------------

    def _adopt(self, datapath: Any) -> Switch:  # Any: Ryu's Datapath
        node, bridge = self._names[datapath.id]
        switch = Switch(node, bridge, datapath)
        self._switches[datapath.id] = switch
        return switch

    def _wait_for_switches(self, deadline: float) -> list[str]:
        while True:
            for dpid in self._names.keys() & self._waiting.keys():
                self._adopt(self._waiting.pop(dpid))
            missing = self._names.keys() - self._switches.keys()
            if not missing or monotonic() > deadline:
                return sorted("/".join(self._names[dpid]) for dpid in missing)
            eventlet.sleep(0.005)

    def _named_switches(self, node: str = "") -> list[Switch]:
        return [switch for _, switch in sorted(self._switches.items()) if node in {"", switch.node}]

    def _observe(self, switches: list[Switch], deadline: float) -> list[list[Flow | Group] | None]:
        """Return what each switch holds, None where it does not answer."""
        asked = [(switch, switch.flows(), switch.groups()) for switch in switches]
        observed: list[list[Flow | Group] | None] = []
        for switch, flow_answer, group_answer in asked:
            flows, groups = _wait(flow_answer, deadline), _wait(group_answer, deadline)
            if flows is None or groups is None:
                observed.append(None)
                continue
            held: list[Flow | Group] = [decode_flow(switch.bridge, stats) for stats in flows]
            observed.append(held + [decode_group(switch.bridge, stats) for stats in groups])
        return observed

    def _install(self, switches: list[Switch], observed: list[list[Flow | Group] | None]) -> int:
        """Send every switch what it lacks; entries that several switches lack are serialised once.

        A switch that does not say what it holds is left alone: it is on its way out and will connect anew.
        """
        cache: dict[tuple[str, int], Message] = {}
        sent = 0
        for switch, held in zip(switches, observed, strict=True):
            if held is None:
                continue
            wanted = self._desired.entries(switch.node, switch.bridge)
            if held:
                kept = {thing.key: thing for thing in wanted}
                delta = difference(held, _comparable(wanted))
                delta = Difference(
                    tuple(kept[thing.key] for thing in delta.added),
                    tuple(kept[thing.key] for thing in delta.replaced),
                    delta.removed,
                )
            else:
                delta = Difference(wanted, (), ())
            messages = list(self._messages(delta, cache))
            switch.send(messages)
            switch.is_installed = True
            sent += len(messages)
            eventlet.sleep(0)  # waits for nothing: other switches' connections get their turn
        return sent

    def _send_changes(self, changes: list[Change], switches: list[Switch], touched: dict[int, Switch]) -> int:
        sent = 0
        for change in changes:
            delta = difference(change.before, change.after)
            for bridge in BRIDGES:
                mine = _for_bridge(delta, bridge)
                if not mine:
                    continue
                messages = list(self._messages(mine, {}))
                for switch in switches:
                    if switch.bridge == bridge:
                        switch.send(messages)
                        touched[switch.datapath.id] = switch
                        sent += len(messages)
        return sent

    def _messages(self, delta: Difference, cache: dict[tuple[str, int], Message]) -> Iterator[Message]:
        groups, flows, gone = ordered(delta)
        for verb, group in groups:
            yield self._cached(cache, verb, group)
        for verb, flow in flows:
            yield self._cached(cache, verb, flow)
        for group in gone:
            yield self._cached(cache, "remove", group)

    def _cached(self, cache: dict[tuple[str, int], Message], verb: str, thing: Flow | Group) -> Message:
        key = (verb, id(thing))
        message = cache.get(key)
        if message is None:
            message = cache[key] = self._encode(verb, thing)
        return message

    def _encode(self, verb: str, thing: Flow | Group) -> Message:
        xid = next(self._xids) & 0x7FFFFFFF
        if isinstance(thing, Flow):
            message = encode_flow(thing, xid, is_removal=verb == "remove")
        elif verb == "remove":
            message = encode_group_removal(thing, xid)
        else:
            message = encode_group(thing, xid, is_new=verb == "add")
        self._about[xid] = message.about
        return message

    def _barrier(self, switches: list[Switch], deadline: float) -> Json:
        asked = [(switch, switch.barrier()) for switch in switches]
        late = [
            f"{switch.node}/{switch.bridge}: no barrier reply"
            for switch, event in asked
            if _wait(event, deadline) is None
        ]
        errors = [error for switch in switches for error in switch.errors]
        for switch in switches:
            switch.errors.clear()
        self._about.clear()
        return {"barriers": len(asked) - len(late), "errors": late + errors}


def _wait(event: Any, deadline: float) -> Any:  # Any: eventlet's Event, and the list it delivers
    """Return what an event delivers, or None when the deadline passes or the switch is gone."""
    left_s = max(0.001, deadline - monotonic())
    return eventlet.timeout.with_timeout(left_s, event.wait, timeout_value=None)


def _comparable(entries: Iterable[Flow | Group]) -> list[Flow | Group]:
    """Return entries in the form in which they are observed: Ryu drops a group's hash fields."""
    return [Group(e.bridge, e.group_id, e.buckets) if isinstance(e, Group) else e for e in entries]


def _for_bridge(delta: Difference, bridge: str) -> Difference:
    def mine(things: Iterable[Any]) -> tuple[Any, ...]:  # Any: flows and groups, which have a bridge
        return tuple(thing for thing in things if thing.bridge == bridge)

    return Difference(mine(delta.added), mine(delta.replaced), mine(delta.removed))
