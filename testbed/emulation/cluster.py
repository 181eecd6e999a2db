"""A running cluster: underlay, nodes, Pods and dataplane put together, in the order of their needs.

Owns the sequence and the waiting; every part is a neighbour's. Nothing is torn down here: the sandbox's end
does that.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from testbed.cluster.state import ClusterState, ContainerPort, PodState
from testbed.cluster.underlay import Underlay, pod_routes
from testbed.dataplanes.registry import Dataplane, dataplane
from testbed.drivers import iproute
from testbed.emulation.mechanism import ClusterChange, Mechanism
from testbed.emulation.mechanisms import MechanismNeeds, mechanisms_for, on_each
from testbed.emulation.namespaces import create as create_namespace
from testbed.emulation.namespaces import pod_namespace
from testbed.emulation.pods import create_pods
from testbed.emulation.prober import Attempt, Outcome, Verdict, probe
from testbed.emulation.processes import ManagedProcess, Processes
from testbed.emulation.underlay import EmulatedUnderlay
from testbed.errors import NotReady, RunFailed
from testbed.inet import Protocol
from testbed.intent import ClusterIntent, PodAttachment

IDLE_IMAGE = "testbed/idle"
"""An image whose Pods answer nothing by themselves: a measurement puts its servers there."""
RAW_VETH = ("raw-veth:client", "raw-veth:server")
"""The two namespaces of the baseline path, joined by one veth pair."""
RAW_VETH_ADDRESSES = ("192.0.2.1", "192.0.2.2")
"""TEST-NET-1 (RFC 5737)."""
_WARM_UP_TIMEOUT_S = 60.0
_WARM_UP_TRY_S = 0.1
Stage = Callable[[str], None]


@dataclass(slots=True)
class EmulatedCluster:
    """A cluster out of real kernel parts. `up` builds it; what it built is in the other attributes."""

    state: ClusterState
    intent: ClusterIntent
    underlay: Underlay
    processes: Processes
    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mechanisms: dict[str, Mechanism] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    _pod_server: ManagedProcess | None = None

    @property
    def datapath_type(self) -> str:
        """The kind of datapath of the nodes' switch, as records name it; "" where they have none."""
        return next(filter(None, (each.datapath_type for each in self.mechanisms.values())), "")

    @property
    def dataplane(self) -> Dataplane:
        """The network plugin and the service proxy, put together."""
        return dataplane(self.state.network.plugin, self.state.network.service_proxy)

    def up(self, on_stage: Stage = lambda _name: None) -> None:
        """Build everything and wait until every node's Pods reach every other node's.

        Raises:
            TestbedError: something could not be built, or did not come up in time.
        """
        chosen = self.dataplane
        fabric = EmulatedUnderlay(self.underlay)
        needs = MechanismNeeds(self.intent, self.state.network.datapath_type, self.processes)
        self.mechanisms = mechanisms_for(chosen.mechanisms, needs)
        self._timed("underlay", on_stage, fabric.start)
        if self.state.network.encapsulation == "none":
            self._route_pods(fabric)
        for mechanism in self.mechanisms.values():
            self._timed(mechanism.start_stage, on_stage, mechanism.start)
        self._timed("Pods", on_stage, lambda: self._create_pods(chosen))
        self._timed("node programs", on_stage, lambda: self._program(chosen))
        for mechanism in self.mechanisms.values():
            self._timed(mechanism.finish_stage, on_stage, partial(mechanism.finish, self.intent))
        self._timed("workloads", on_stage, self._start_workloads)
        if chosen.mechanisms:
            self._timed("readiness", on_stage, self._await_reachability)

    def change(self, state: ClusterState, intent: ClusterIntent, owners: Collection[str]) -> None:
        """Bring the running cluster to a changed state; return when every node has it in force.

        Pods are neither created nor deleted.

        Args:
            state: the cluster after the change.
            intent: its intent.
            owners: keys of the intent objects that were touched: changed, added or removed.

        Raises:
            TestbedError: a mechanism refuses the change, or does not acknowledge it in time.
        """
        change = ClusterChange(self.dataplane, self.intent, intent, owners)
        for mechanism in self.mechanisms.values():
            mechanism.change(change)
        self.state, self.intent = state, intent

    def running_pods(self) -> tuple[PodState, ...]:
        """Return the Pods that exist, sorted by `namespace/name`."""
        return tuple(pod for name in sorted(self.state.nodes) for pod in self.state.pods_on(name))

    def try_all(self, attempts: Sequence[Attempt], *, timeout_s: float = 1.0) -> tuple[Outcome, ...]:
        """Try connections between Pods; see `prober.probe`."""
        return probe(attempts, timeout_s=timeout_s)

    def close_ports(self, pod: PodState, ports: Iterable[ContainerPort]) -> None:
        """Stop answering on ports of a Pod, so that a measurement's own server can take them."""
        self._ask_pod_server("close", [_listening(pod, port) for port in ports])

    def open_ports(self, pod: PodState, ports: Iterable[ContainerPort]) -> None:
        """Answer on ports of a Pod.

        Raises:
            RunFailed: a port is taken.
        """
        self._ask_pod_server("open", [_listening(pod, port) for port in ports])

    def make_raw_veth(self) -> None:
        """Make the baseline: two namespaces joined by one veth pair with the underlay's MTU."""
        for name in RAW_VETH:
            create_namespace(name, has_ipv6=False)
        client, server = RAW_VETH
        mtu = self.underlay.mtu_bytes
        iproute.batch(client, [f"link add eth0 mtu {mtu} type veth peer name eth0 netns {server} mtu {mtu}"])
        for name, address in zip(RAW_VETH, RAW_VETH_ADDRESSES, strict=True):
            iproute.batch(name, [f"addr add {address}/30 dev eth0", "link set eth0 up"])

    # --- stages ----------------------------------------------------------------------------------------

    def _timed(self, name: str, on_stage: Stage, act: Callable[[], None]) -> None:
        if not name:
            act()
            return
        on_stage(name)
        began = monotonic()
        try:
            act()
        except RunFailed:
            self.processes.check_soon()  # the failure may be a dead program's silence: name it
            raise
        self.processes.check()
        self.seconds[name] = monotonic() - began

    def _route_pods(self, fabric: EmulatedUnderlay) -> None:
        blocks = {name: node.pod_cidrs for name, node in self.intent.nodes.items()}
        for router, routes in pod_routes(self.underlay, blocks).items():
            fabric.add_router_routes(router, routes)

    def _create_pods(self, chosen: Dataplane) -> None:
        needs_checksums = any(each.pods_compute_checksums for each in self.mechanisms.values())
        for name, node in self.intent.nodes.items():
            for mechanism in self.mechanisms.values():
                mechanism.prepare(name)
            pods = [thing for thing in self.intent.local[name].values() if isinstance(thing, PodAttachment)]
            create_pods(node, pods, chosen.network.pod_interface, needs_checksums=needs_checksums)

    def _program(self, chosen: Dataplane) -> None:
        on_each(list(self.intent.nodes), partial(self._program_node, chosen))

    def _program_node(self, chosen: Dataplane, name: str) -> None:
        wanted = chosen.render(self.intent.for_node(name)).objects()
        for mechanism in self.mechanisms.values():
            mechanism.apply(name, wanted)

    def _start_workloads(self) -> None:
        self._pod_server = self.processes.start(
            "pod server", [sys.executable, "-m", "testbed.emulation.pod_server"], piped=True
        )
        answering = [
            pod for pod in self.running_pods() if pod.image != IDLE_IMAGE and pod.image not in self.images
        ]
        self._ask_pod_server("open", [_listening(pod, port) for pod in answering for port in pod.ports])
        for pod in self.running_pods():
            command = self.images.get(pod.image)
            if command:
                namespace = pod_namespace(pod.namespace, pod.name)
                self.processes.start(f"{command[0]} in {pod.qualified_name}", command, namespace=namespace)

    def _ask_pod_server(self, verb: str, sockets: list[dict[str, object]]) -> None:
        server = self._pod_server
        if server is None or server.popen.stdin is None or server.popen.stdout is None:
            raise RunFailed("the pod server is not running")
        server.popen.stdin.write((json.dumps({"op": verb, "sockets": sockets}) + "\n").encode())
        server.popen.stdin.flush()
        line = server.popen.stdout.readline()
        if not line:
            server.popen.wait()
            server.check()
        answer: dict[str, Any] = json.loads(line)  # Any: a JSON object of our own making
        if answer["failed"]:
            raise RunFailed(f"Pods could not {verb} ports: {'; '.join(answer['failed'])}")

    def _await_reachability(self) -> None:
        """Try a connection between every two nodes until each is answered: tunnels and ARP are warm then.

        The first packet through a tunnel is lost while ARP resolves, so the first round is short. Each round
        waits twice as long as the one before: a machine that is busy with many switches needs it.
        """
        attempts = self._node_pairs()
        deadline = monotonic() + _WARM_UP_TIMEOUT_S
        try_s = _WARM_UP_TRY_S
        while attempts:
            outcomes = probe(attempts, timeout_s=try_s)
            try_s *= 2
            attempts = [outcome.attempt for outcome in outcomes if outcome.verdict is Verdict.BLOCKED]
            self.processes.check()
            if attempts and monotonic() > deadline:
                shown = ", ".join(f"{each.source} to {each.target}" for each in attempts[:5])
                raise NotReady(
                    "every node's Pods to reach every other node's", _WARM_UP_TIMEOUT_S, f"not {shown}"
                )

    def _node_pairs(self) -> list[Attempt]:
        """Return attempts between one Pod of each node and of each other; answer or refusal will do."""
        first = {name: pods[0] for name in self.state.nodes if (pods := self.state.pods_on(name))}
        return [
            Attempt(
                pod_namespace(source.namespace, source.name),
                source.qualified_name,
                target.qualified_name,
                target.addresses[0],
                Protocol.TCP,
                target.ports[0].port if target.ports else 1,
            )
            for source in first.values()
            for target in first.values()
            if source is not target
        ]


def _listening(pod: PodState, port: ContainerPort) -> dict[str, object]:
    return {
        "namespace": pod_namespace(pod.namespace, pod.name),
        "pod": pod.qualified_name,
        "node": pod.node,
        "protocol": str(port.protocol),
        "port": port.port,
    }
