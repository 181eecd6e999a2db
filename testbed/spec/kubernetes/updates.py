"""What may not change once an object exists. The API's own rules of immutability.

Takes the old and the new object, both sound by themselves, and returns problems whose paths begin in the new
object.
"""

from __future__ import annotations

from testbed.spec.kubernetes.catalog import AnyObject
from testbed.spec.kubernetes.pods import Pod
from testbed.spec.kubernetes.services import Service
from testbed.spec.kubernetes.slices import EndpointSlice
from testbed.spec.kubernetes.workloads import DaemonSet, Deployment, ReplicaSet, StatefulSet
from testbed.spec.problem import KeyPath, Problem


def check_update(old: AnyObject, new: AnyObject) -> tuple[Problem, ...]:
    """Return what the API server would refuse about replacing `old` by `new`; empty if nothing.

    Both must be the same object: a change of kind, namespace or name is refused as well.
    """
    if type(old) is not type(new):
        return (_immutable(("kind",), old.kind, new.kind),)
    return (*_identity_problems(old, new), *_spec_problems(old, new))


def _identity_problems(old: AnyObject, new: AnyObject) -> list[Problem]:
    return [
        _immutable(("metadata", key), getattr(old.metadata, key), getattr(new.metadata, key))
        for key in ("namespace", "name")
        if getattr(old.metadata, key) != getattr(new.metadata, key)
    ]


def _spec_problems(old: AnyObject, new: AnyObject) -> list[Problem]:
    if isinstance(old, Service) and isinstance(new, Service):
        return _service_problems(old, new)
    if isinstance(old, Pod) and isinstance(new, Pod):
        return _pod_problems(old, new)
    if isinstance(old, EndpointSlice) and isinstance(new, EndpointSlice):
        return _changed((("addressType",), old.address_type, new.address_type))
    if isinstance(old, StatefulSet) and isinstance(new, StatefulSet):
        return _changed(
            (("spec", "selector"), old.spec.selector, new.spec.selector),
            (("spec", "serviceName"), old.spec.service_name, new.spec.service_name),
        )
    workloads = Deployment | ReplicaSet | DaemonSet
    if isinstance(old, workloads) and isinstance(new, workloads):
        return _changed((("spec", "selector"), old.spec.selector, new.spec.selector))
    return []


def _service_problems(old: Service, new: Service) -> list[Problem]:
    # clusterIP: "This field may not be changed through updates unless the type field is also being changed to
    # ExternalName" (ServiceSpec). One that is left out keeps the address the Service has.
    if not old.spec.cluster_ip or not new.spec.cluster_ip:
        return []
    return _changed((("spec", "clusterIP"), old.spec.cluster_ip, new.spec.cluster_ip))


def _pod_problems(old: Pod, new: Pod) -> list[Problem]:
    # "pod updates may not change fields other than spec.containers[*].image, ..." (ValidatePodUpdate).
    # nodeName is the scheduler's to fill in, once.
    if len(old.spec.containers) != len(new.spec.containers):
        return [Problem("the containers of a Pod cannot be added or removed", path=("spec", "containers"))]
    rows: list[tuple[KeyPath, object, object]] = [
        (("spec", "nodeSelector"), old.spec.node_selector, new.spec.node_selector),
        (("spec", "restartPolicy"), old.spec.restart_policy, new.spec.restart_policy),
        (("spec", "dnsPolicy"), old.spec.dns_policy, new.spec.dns_policy),
    ]
    if old.spec.node_name:
        rows.append((("spec", "nodeName"), old.spec.node_name, new.spec.node_name))
    for position, (before, after) in enumerate(zip(old.spec.containers, new.spec.containers, strict=True)):
        for key in ("name", "command", "args", "ports"):
            path = ("spec", "containers", position, key)
            rows.append((path, getattr(before, key), getattr(after, key)))
    return _changed(*rows)


def _changed(*rows: tuple[KeyPath, object, object]) -> list[Problem]:
    return [_immutable(path, old, new) for path, old, new in rows if old != new]


def _immutable(path: KeyPath, old: object, new: object) -> Problem:
    is_short = isinstance(old, str) and isinstance(new, str)
    what = f"{path[-1]} cannot be changed once the object exists"
    detail = f" (it is '{old}', and would become '{new}')" if is_short else ""
    return Problem(what + detail, "", "delete the object and create it again", path)
