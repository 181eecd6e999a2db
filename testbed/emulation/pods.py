"""Creates and deletes Pods: a network namespace each, joined to its node by a veth named eth0 inside.

In bulk: namespaces by system call, all veths of a node in one batch, the insides by a few `ip` processes at
a time.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence

from testbed.dataplanes.linux import PodInterface
from testbed.drivers import iproute
from testbed.emulation import namespaces
from testbed.emulation.namespaces import pod_namespace
from testbed.errors import CommandFailed
from testbed.intent import NodeIdentity, PodAttachment

_AT_ONCE = 4
_ALTNAME_BYTES_MAX = 127


def create_pods(
    node: NodeIdentity,
    pods: Sequence[PodAttachment],
    interface_of: Callable[[NodeIdentity, PodAttachment], PodInterface],
    *,
    needs_checksums: bool,
) -> None:
    """Create the Pods of a node, their interfaces up, addressed and routed.

    Args:
        node: the node, whose network namespace has its name.
        pods: what to create.
        interface_of: the network plugin's answer to what a Pod's eth0 is given.
        needs_checksums: whether Pods must compute checksums themselves (user-space datapath).

    Raises:
        OSError, CommandFailed: the kernel refuses.
    """
    for pod in pods:
        namespaces.create(pod_namespace(pod.namespace, pod.name), has_ipv6=_has_ipv6(pod))
    iproute.batch(node.name, [line for pod in pods for line in _outside(node, pod)])
    started: list[tuple[PodAttachment, subprocess.Popen[str]]] = []
    for pod in pods:
        if len(started) >= _AT_ONCE:
            _finish(*started.pop(0))
        started.append((pod, _start_inside(pod, interface_of(node, pod), needs_checksums=needs_checksums)))
    for each in started:
        _finish(*each)


def delete_pods(node: NodeIdentity, pods: Iterable[PodAttachment]) -> None:
    """Delete Pods of a node. Their switch ports are the driver's business."""
    pods = tuple(pods)
    iproute.batch(node.name, [f"link del {pod.interface}" for pod in pods])
    for pod in pods:
        namespaces.delete(pod_namespace(pod.namespace, pod.name))


def _outside(node: NodeIdentity, pod: PodAttachment) -> tuple[str, ...]:
    inside = pod_namespace(pod.namespace, pod.name)
    mtu = node.mtu_bytes
    readable = f"{pod.namespace}.{pod.name}"[:_ALTNAME_BYTES_MAX]
    return (
        f"link add {pod.interface} mtu {mtu} type veth"
        f" peer name eth0 netns {inside} mtu {mtu} address {pod.mac}",
        f"link property add dev {pod.interface} altname {readable}",
        f"link set {pod.interface} up",
    )


def _start_inside(
    pod: PodAttachment, interface: PodInterface, *, needs_checksums: bool
) -> subprocess.Popen[str]:
    with namespaces.entered(pod_namespace(pod.namespace, pod.name)):
        if needs_checksums:
            namespaces.disable_transmit_checksum_offload("eth0")
        process = subprocess.Popen(
            ["ip", "-batch", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    if process.stdin is not None:
        process.stdin.write("\n".join(interface.lines()) + "\n")
        process.stdin.close()
    return process


def _finish(pod: PodAttachment, process: subprocess.Popen[str]) -> None:
    said = process.stderr.read() if process.stderr is not None else ""
    status = process.wait()
    if status:
        raise CommandFailed(["ip", "-batch", "-"], status, said, namespace=f"Pod {pod.namespace}/{pod.name}")


def _has_ipv6(pod: PodAttachment) -> bool:
    return any(address.version == 6 for address in pod.addresses)
