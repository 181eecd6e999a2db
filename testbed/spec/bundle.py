"""What the objects of an application say about each other.

Owns duplicates, unknown namespaces, addresses and ports that two Services claim, Services that lead nowhere.

Objects are sound by themselves before they come here. Errors are what the API server would refuse; notices
are what it accepts in silence although it will not work as one may think.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

from testbed.errors import Finding
from testbed.spec.kubernetes import (
    DaemonSet,
    Deployment,
    EndpointSlice,
    Namespace,
    Node,
    Pod,
    PodSpec,
    ReplicaSet,
    Service,
    StatefulSet,
)
from testbed.spec.manifests import Manifest, Manifests
from testbed.spec.problem import Problem, nearest
from testbed.spec.tree import locate

BUILT_IN_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
"""Namespaces that every cluster has."""

PodTemplates = tuple[tuple[str, Mapping[str, str], PodSpec], ...]
"""Namespace, labels and spec of every Pod and Pod template."""


def checked(manifests: Manifests, declared: Iterable[str] = ()) -> tuple[Manifests, tuple[Finding, ...]]:
    """Check objects against each other; `declared` are namespaces that exist beside the built-in ones.

    Returns:
        The objects with their notices, and what is wrong.
    """
    known = BUILT_IN_NAMESPACES | set(declared) | set(declared_namespaces(manifests))
    findings = chain(
        _duplicates(manifests.manifests),
        _unknown_namespaces(manifests.manifests, known),
        _repeated_numbers(manifests.manifests),
    )
    chosen_by, sliced = _chooser(pod_templates(manifests)), _sliced_services(manifests)
    notices = (
        manifest.finding(problem)
        for manifest in manifests.manifests
        if isinstance(manifest.object, Service)
        for problem in _service_notices(manifest.object, chosen_by, sliced)
    )
    return replace(manifests, notices=tuple(sorted(set(notices)))), tuple(findings)


def declared_namespaces(manifests: Manifests) -> tuple[str, ...]:
    """Return the names of the Namespace objects."""
    return tuple(item.metadata.name for item in manifests.objects if isinstance(item, Namespace))


def pod_templates(manifests: Manifests) -> PodTemplates:
    """Return what every Pod of the objects is made from."""
    templates = list[tuple[str, Mapping[str, str], PodSpec]]()
    for item in manifests.objects:
        if isinstance(item, Pod):
            templates.append((item.metadata.namespace, item.metadata.labels, item.spec))
        elif isinstance(item, Deployment | ReplicaSet | DaemonSet | StatefulSet):
            template = item.spec.template
            templates.append((item.metadata.namespace, template.metadata.labels, template.spec))
    return tuple(templates)


Chooser = Callable[[str, Mapping[str, str]], list[PodSpec]]
"""From a namespace and a Service's selector to the Pods that it selects."""


def _chooser(templates: PodTemplates) -> Chooser:
    """Return a look-up of Pods by selector, which costs what the rarest label of the selector costs."""
    by_label = dict[tuple[str, str, str], list[tuple[Mapping[str, str], PodSpec]]]()
    for namespace, labels, pod in templates:
        for key, value in labels.items():
            by_label.setdefault((namespace, key, value), []).append((labels, pod))

    def chosen(namespace: str, selector: Mapping[str, str]) -> list[PodSpec]:
        rows = [by_label.get((namespace, key, value), []) for key, value in selector.items()]
        return [pod for labels, pod in min(rows, key=len) if selector.items() <= labels.items()]

    return chosen


def namespace_of(manifest: Manifest) -> str:
    """Return an object's namespace, "" for kinds that have none."""
    item = manifest.object
    return "" if isinstance(item, Namespace | Node) else item.metadata.namespace


def _where(manifest: Manifest, *path: str | int) -> str:
    place, _ = locate(manifest.node, path)
    return str(place)


def _duplicates(manifests: Iterable[Manifest]) -> Iterator[Finding]:
    first = dict[tuple[str, str, str], Manifest]()
    for manifest in manifests:
        item = manifest.object
        key = (item.kind, namespace_of(manifest), item.metadata.name)
        if key in first:
            qualified = f"{key[1]}/{key[2]}" if key[1] else key[2]
            what = f"{item.kind} {qualified} stands twice; first at {_where(first[key], 'metadata', 'name')}"
            yield manifest.finding(Problem(what, "", "rename or remove one of them", ("metadata", "name")))
        else:
            first[key] = manifest


def _unknown_namespaces(manifests: Iterable[Manifest], known: Iterable[str]) -> Iterator[Finding]:
    names = sorted(known)
    for manifest in manifests:
        namespace = namespace_of(manifest)
        if namespace and namespace not in names:
            fix = nearest(namespace, names) or "add a Namespace object"
            what = f"namespace '{namespace}' does not exist"
            allowed = f"there are: {', '.join(names)}" if len(names) <= 12 else ""
            yield manifest.finding(Problem(what, allowed, fix, ("metadata", "namespace")))


def _repeated_numbers(manifests: Iterable[Manifest]) -> Iterator[Finding]:
    """Report node ports and cluster addresses that two Services claim."""
    taken = dict[str, tuple[Manifest, str]]()
    for manifest in manifests:
        service = manifest.object
        if not isinstance(service, Service):
            continue
        name = f"{service.metadata.namespace}/{service.metadata.name}"
        for claim, path in _claims(service):
            holder, other = taken.setdefault(claim, (manifest, name))
            if holder is not manifest:
                what = f"{claim} already belongs to Service {other}, at {_where(holder, 'metadata', 'name')}"
                yield manifest.finding(Problem(what, "", "choose another, or leave it out", path))


def _claims(service: Service) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    if service.spec.cluster_ip and not service.spec.is_headless:
        yield f"clusterIP {service.spec.cluster_ip}", ("spec", "clusterIP")
    for position, port in enumerate(service.spec.ports):
        if port.node_port:
            yield f"nodePort {port.node_port}", ("spec", "ports", position, "nodePort")


def _sliced_services(manifests: Manifests) -> frozenset[tuple[str, str]]:
    slices = (item for item in manifests.objects if isinstance(item, EndpointSlice))
    return frozenset((item.metadata.namespace, item.service_name) for item in slices)


def _service_notices(
    service: Service, chosen_by: Chooser, sliced: frozenset[tuple[str, str]]
) -> Iterator[Problem]:
    spec, namespace = service.spec, service.metadata.namespace
    if spec.type != "ClusterIP":
        unserved = "node port" if spec.type == "NodePort" else "load balancer"
        yield Problem(f"the ClusterIP is served; the {unserved} is not", path=("spec", "type"))
    if not spec.selector:
        if (namespace, service.metadata.name) not in sliced:
            yield Problem("no selector and no EndpointSlice: this Service has no endpoints", path=("spec",))
        return
    chosen = chosen_by(namespace, spec.selector)
    if not chosen:
        what = f"no Pod in namespace {namespace} has these labels: this Service has no endpoints"
        yield Problem(what, path=("spec", "selector"))
        return
    names = sorted(
        {port.name for pod in chosen for container in pod.containers for port in container.ports} - {""}
    )
    for position, service_port in enumerate(spec.ports):
        target = service_port.target_port
        if isinstance(target, str) and target not in names:
            what = f"no selected Pod has a container port called '{target}'"
            yield Problem(what, "", nearest(target, names), ("spec", "ports", position, "targetPort"))
