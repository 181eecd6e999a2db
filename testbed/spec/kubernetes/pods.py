"""Pod and its parts. What a container runs apart from its ports has no bearing on networking."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from testbed.inet import Protocol
from testbed.spec.kubernetes.meta import KubernetesObject, ObjectMeta
from testbed.spec.kubernetes.names import (
    DnsLabel,
    Labels,
    OptionalDnsSubdomain,
    Port,
    PortName,
    ProtocolName,
    QuotedText,
)
from testbed.spec.model import SpecModel, repeated, words
from testbed.spec.problem import Problem, refuse_if_any, refused
from testbed.spec.values import NotSupported, OnlyFalse, Text, one_of

RESTART_POLICIES = ("Always", "OnFailure", "Never")


class ContainerPort(SpecModel):
    """A port that a container answers on."""

    container_port: Port
    protocol: ProtocolName = Protocol.TCP
    name: PortName = ""
    host_port: NotSupported = None
    host_ip: NotSupported = Field(default=None, alias="hostIP")


def _check_image(image: str) -> str:
    if not image.strip():
        raise refused("the image is empty", "", "name an image, such as nginx")
    if image != image.strip():
        raise refused("the image has a space at its beginning or end", "", "remove the space")
    return image


class Container(SpecModel):
    """A container. Images are not run; `testbed.spec.cluster` maps them to programs."""

    without_bearing: ClassVar[frozenset[str]] = words(
        """env envFrom imagePullPolicy lifecycle livenessProbe readinessProbe resizePolicy resources
        restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath
        terminationMessagePolicy tty volumeDevices volumeMounts workingDir"""
    )

    name: DnsLabel
    image: Annotated[QuotedText, AfterValidator(_check_image)]
    command: tuple[QuotedText, ...] = ()
    args: tuple[QuotedText, ...] = ()
    ports: tuple[ContainerPort, ...] = ()

    @model_validator(mode="after")
    def _port_names_are_unique(self) -> Container:
        names = [port.name or position for position, port in enumerate(self.ports)]
        refuse_if_any(
            Problem(
                f"the port name '{names[position]}' stands twice in this container",
                fix="give each port its own name",
                path=("ports", position, "name"),
            )
            for position in repeated(names)
        )
        return self


class PodSpec(SpecModel):
    """What a Pod runs and where."""

    without_bearing: ClassVar[frozenset[str]] = words(
        """activeDeadlineSeconds affinity automountServiceAccountToken enableServiceLinks
        ephemeralContainers hostIPC hostname hostnameOverride hostPID hostUsers
        imagePullSecrets os overhead preemptionPolicy priority priorityClassName readinessGates
        resourceClaims resources runtimeClassName schedulerName schedulingGates securityContext
        serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain
        terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes"""
    )

    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    node_name: OptionalDnsSubdomain = ""
    node_selector: Labels = Field(default_factory=dict)
    restart_policy: Annotated[Text, one_of(RESTART_POLICIES)] = "Always"
    host_network: OnlyFalse = False
    host_aliases: NotSupported = None
    dns_policy: Annotated[
        Text, one_of(("ClusterFirst", "Default"), unsupported=("ClusterFirstWithHostNet", "None"))
    ] = "ClusterFirst"
    dns_config: NotSupported = None

    @model_validator(mode="after")
    def _containers_are_sound(self) -> PodSpec:
        if not self.containers:
            raise refused("a Pod without containers", "at least one is required", "", ("containers",))
        placed = [("initContainers", position, item) for position, item in enumerate(self.init_containers)]
        placed += [("containers", position, item) for position, item in enumerate(self.containers)]
        again = [placed[index] for index in repeated(container.name for _, _, container in placed)]
        refuse_if_any(
            Problem(
                f"the container name '{container.name}' stands twice in this Pod",
                fix="give each container its own name",
                path=(key, position, "name"),
            )
            for key, position, container in again
        )
        return self


class Pod(KubernetesObject):
    """A Pod."""

    kind: Literal["Pod"]
    metadata: ObjectMeta
    spec: PodSpec
