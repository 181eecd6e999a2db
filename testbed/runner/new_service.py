"""The one Service that measurements of type programming add to a running cluster, and remove again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from testbed.cluster.changes import Change, add_service, remove_service
from testbed.cluster.services import services_of
from testbed.cluster.state import ClusterState
from testbed.errors import RunFailed
from testbed.inet import IPAddress
from testbed.intent import ClusterIntent
from testbed.intent_from_cluster import recompile_services
from testbed.measurement.paths import new_service_manifest
from testbed.spec.kubernetes import Service


class RunningCluster(Protocol):
    """What is asked of a running cluster: `emulation.cluster.EmulatedCluster` is one."""

    state: ClusterState
    intent: ClusterIntent

    def change(self, state: ClusterState, intent: ClusterIntent, owners: Collection[str]) -> None:
        """Bring the cluster to a changed state; return when every node has it in force."""


class NewService:
    """Changes a cluster as a control plane would; see `measurement.programming.ServiceChanger`.

    Its ClusterIP was chosen beforehand: finding a free one is the API server's work, and no dataplane's.
    """

    def __init__(self, cluster: RunningCluster, address: IPAddress, port: int) -> None:
        manifest = Service.model_validate(new_service_manifest(len(cluster.state.nodes), str(address)))
        (self._service,) = services_of([manifest], cluster.state.network.service_cidrs).values()
        self._cluster = cluster
        self.address = address
        self.port = port

    def add(self) -> None:
        """Add it; return when every node has it in force.

        Raises:
            RunFailed: a node does not take it, or a removal before this has failed.
        """
        name = self._service.qualified_name
        if name in self._cluster.state.services:
            raise RunFailed(f"Service {name} is still there from an earlier change")
        self._make(add_service(self._cluster.state, self._service))

    def remove(self) -> None:
        """Remove it; return when no node has it any more.

        Raises:
            RunFailed: a node does not take the change.
        """
        self._make(remove_service(self._cluster.state, self._service.qualified_name))

    def _make(self, change: Change) -> None:
        intent = recompile_services(self._cluster.intent, change.state, change.services)
        owners = {f"Service/{name}" for name in change.services}
        self._cluster.change(change.state, intent, owners)
