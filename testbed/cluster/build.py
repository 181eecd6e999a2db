"""The whole control plane at once: a cluster file and manifests to a ClusterState.

Owns the order of decisions; its neighbours make them. The order of the objects in the files has no influence
on the result. `changes.py` has the changes to a cluster that is already there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from testbed.cluster.endpoints import all_slices_for
from testbed.cluster.index import build_index, services_selecting
from testbed.cluster.nodes import namespaces_of, network_settings, nodes_of
from testbed.cluster.pods import run_pods
from testbed.cluster.services import manual_slices_of, services_of
from testbed.cluster.state import (
    ClusterIndex,
    ClusterState,
    EndpointSliceState,
    PodState,
    ServiceState,
    ServiceType,
)
from testbed.cluster.underlay_plan import plan_underlay
from testbed.cluster.workloads import Workload, drafts_of
from testbed.spec.cluster import ClusterSpec
from testbed.spec.kubernetes import (
    AnyObject,
    EndpointSlice,
    Namespace,
    Node,
    Pod,
    Service,
)

Slices = Mapping[str, tuple[EndpointSliceState, ...]]


def build_cluster(cluster: ClusterSpec, objects: Iterable[AnyObject]) -> ClusterState:
    """Decide everything a control plane decides about a cluster and its manifests.

    Raises:
        CapacityError: an address range is too small, or an address that is asked for cannot be given.
        SpecError: the MTU does not fit, a Node manifest names no node, or two Pods need one name.
    """
    given = tuple(objects)
    network = network_settings(cluster)
    underlay = plan_underlay(cluster.topology, [node.name for node in cluster.nodes])
    nodes = nodes_of(cluster, (made for made in given if isinstance(made, Node)), underlay)
    workloads = [made for made in given if isinstance(made, Workload)]
    pods = run_pods(drafts_of((made for made in given if isinstance(made, Pod)), workloads, nodes), nodes)
    services = services_of((made for made in given if isinstance(made, Service)), network.service_cidrs)
    manual = manual_slices_of(made for made in given if isinstance(made, EndpointSlice))
    index = build_index(nodes, pods.values(), services.values())
    used = {pod.namespace for pod in pods.values()} | {service.namespace for service in services.values()}
    return ClusterState(
        network=network,
        nodes=nodes,
        namespaces=namespaces_of((made for made in given if isinstance(made, Namespace)), used),
        pods=pods,
        services=services,
        slices=slices_of(services, pods.values(), manual, index),
        manual_slices=manual,
        index=index,
    )


def slices_of(
    services: Mapping[str, ServiceState], pods: Iterable[PodState], manual: Slices, index: ClusterIndex
) -> Slices:
    """Return the EndpointSlices of all Services, by `namespace/name`, sorted; ExternalName has none."""
    selected: defaultdict[str, list[PodState]] = defaultdict(list)
    for pod in pods:
        for service in services_selecting(services, index, pod):
            selected[service.qualified_name].append(pod)
    return {
        name: all_slices_for(service, selected[name], manual.get(name, ()))
        for name, service in sorted(services.items())
        if service.type is not ServiceType.EXTERNAL_NAME
    }
