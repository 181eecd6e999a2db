"""Whether what a measurement names with `from` and `to` exists among the manifests. Nothing fails late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from testbed.spec.bundle import PodTemplates, pod_templates
from testbed.spec.experiment import ExperimentSpec
from testbed.spec.kubernetes import Service
from testbed.spec.manifests import Manifests
from testbed.spec.measurement import MeasurementSpec, Target
from testbed.spec.problem import KeyPath, Problem, listing, nearest, shortened


def target_problems(spec: ExperimentSpec, manifests: Manifests) -> Iterator[Problem]:
    """Yield what is wrong with the measurements' ends; paths begin in the experiment's spec."""
    templates = pod_templates(manifests)
    services = {
        (item.metadata.namespace, item.metadata.name): item
        for item in manifests.objects
        if isinstance(item, Service)
    }
    for position, measurement in enumerate(spec.measurements):
        for problem in _problems(measurement, templates, services):
            yield problem.under("measurements", position)


def _problems(
    measurement: MeasurementSpec, templates: PodTemplates, services: Mapping[tuple[str, str], Service]
) -> Iterator[Problem]:
    if measurement.client is not None:
        yield from _unmatched(measurement.client, templates, ("from",))
    target = measurement.target
    if target is None:
        return
    if target.pod is not None:
        yield from _unmatched(target.pod, templates, ("to", "pod"))
    elif target.service is not None:
        yield from _service_problems(measurement, target, target.service, services)


def _unmatched(labels: Mapping[str, str], templates: PodTemplates, path: KeyPath) -> Iterator[Problem]:
    for _, has, _ in templates:
        if labels.items() <= has.items():
            return
    yield Problem(
        "no Pod of the manifests has these labels", "", "name labels of a Pod or of a Pod template", path
    )


def _service_problems(
    measurement: MeasurementSpec, target: Target, name: str, services: Mapping[tuple[str, str], Service]
) -> Iterator[Problem]:
    service = services.get((target.namespace, name))
    if service is None:
        names = [known for namespace, known in services if namespace == target.namespace]
        what = f"the manifests have no Service {target.namespace}/{name}"
        yield Problem(what, listing(sorted(names)) if names else "", nearest(name, names), ("to", "service"))
        return
    if service.spec.is_headless:
        yield Problem(f"Service {name} is headless", "a ClusterIP is needed", "use pod", ("to", "service"))
        return
    ports = [f"{port.port}/{port.protocol}" for port in service.spec.ports]
    chosen = [port for port in service.spec.ports if target.port in (None, port.port, port.name)]
    if not chosen:
        yield Problem(
            f"Service {name} has no port {shortened(str(target.port))}", listing(ports), "", ("to", "port")
        )
        return
    if len({port.port for port in chosen}) > 1:
        yield Problem(f"Service {name} has several ports", listing(ports), "add port", ("to",))
        return
    for at, protocol in enumerate(measurement.protocols):
        if protocol not in {port.protocol for port in chosen}:
            path: KeyPath = ("protocols", at) if "protocols" in measurement.model_fields_set else ("to",)
            yield Problem(
                f"Service {name} does not answer {protocol} there", listing(ports), "give protocols", path
            )
