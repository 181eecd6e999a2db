"""The Kubernetes kinds that the testbed builds: frozen models that default and refuse as the API server does.

Attribute names are the API's in snake_case. Nothing here knows files; `testbed.spec.manifests` reads them.
"""

from testbed.spec.kubernetes.catalog import AnyObject
from testbed.spec.kubernetes.nodes import Namespace, Node
from testbed.spec.kubernetes.pods import Container, ContainerPort, Pod, PodSpec
from testbed.spec.kubernetes.selectors import LabelSelector
from testbed.spec.kubernetes.services import Service, ServicePort, ServiceSpec
from testbed.spec.kubernetes.slices import EndpointSlice, SliceEndpoint, SlicePort
from testbed.spec.kubernetes.workloads import DaemonSet, Deployment, PodTemplate, ReplicaSet, StatefulSet

__all__ = [
    "AnyObject",
    "Container",
    "ContainerPort",
    "DaemonSet",
    "Deployment",
    "EndpointSlice",
    "LabelSelector",
    "Namespace",
    "Node",
    "Pod",
    "PodSpec",
    "PodTemplate",
    "ReplicaSet",
    "Service",
    "ServicePort",
    "ServiceSpec",
    "SliceEndpoint",
    "SlicePort",
    "StatefulSet",
]
