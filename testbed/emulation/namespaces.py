"""Network namespaces without a process, and entering them. Linux system calls, nothing else.

A named namespace is a bind mount below /run/netns, as `ip netns` makes it, so every tool can enter it by
name. The sandbox has a private /run, so names never clash with anyone's.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.drivers.shell import NETNS_FOLDER

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_MS_BIND = 4096
_OWN = "/proc/thread-self/ns/net"
_NAME_BYTES_MAX = 200
_SIOCETHTOOL = 0x8946
_ETHTOOL_STXCSUM = 0x17


def pod_namespace(namespace: str, name: str) -> str:
    """Return the name of a Pod's network namespace. A colon keeps it apart from every node's name."""
    whole = f"pod:{namespace}:{name}"
    if len(whole) <= _NAME_BYTES_MAX:
        return whole
    digest = hashlib.blake2b(whole.encode(), digest_size=6).hexdigest()
    return f"{whole[: _NAME_BYTES_MAX - 13]}-{digest}"


def create(name: str, *, has_ipv6: bool) -> None:
    """Create a named network namespace with its loopback up and, unless `has_ipv6`, without IPv6.

    An interface with IPv6 sends router solicitations and multicast reports that nobody asked about.

    Raises:
        FileExistsError: the name is taken.
        OSError: the kernel refuses.
    """
    path = NETNS_FOLDER / name
    path.touch(exist_ok=False)
    with _restored():
        _check(_LIBC.unshare(_CLONE_NEWNET), "unshare(CLONE_NEWNET)")
        if not has_ipv6:
            disable_ipv6()
        loopback_up()
        _check(_LIBC.mount(_OWN.encode(), os.fsencode(path), b"none", _MS_BIND, None), f"mount on {path}")


def name_process_namespace(name: str, pid: int) -> None:
    """Give the network namespace of a process a name.

    Raises:
        OSError: there is no such process, or the name is taken.
    """
    path = NETNS_FOLDER / name
    path.touch(exist_ok=False)
    source = f"/proc/{pid}/ns/net"
    _check(_LIBC.mount(source.encode(), os.fsencode(path), b"none", _MS_BIND, None), f"mount on {path}")


def delete(name: str) -> None:
    """Delete a named namespace; its interfaces go when nothing uses it any more.

    Raises:
        OSError: there is none of that name.
    """
    path = NETNS_FOLDER / name
    _check(_LIBC.umount2(os.fsencode(path), 2), f"umount of {path}")
    path.unlink()


@contextmanager
def entered(name: str) -> Iterator[None]:
    """Put the calling thread into a named namespace: sockets opened, and programs started, belong there.

    Raises:
        OSError: there is no such namespace.
    """
    with _restored():
        enter(name)
        yield


def enter(name: str) -> None:
    """Move the calling thread into a named namespace for good.

    Raises:
        OSError: there is no such namespace.
    """
    descriptor = os.open(NETNS_FOLDER / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_LIBC.setns(descriptor, _CLONE_NEWNET), f"setns to {name}")
    finally:
        os.close(descriptor)


def disable_ipv6() -> None:
    """Turn IPv6 off in the calling thread's namespace, for interfaces to come as well."""
    for scope in ("all", "default"):
        setting = Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6")
        if setting.exists():
            setting.write_text("1")


def loopback_up() -> None:
    """Set the loopback interface of the calling thread's namespace up."""
    set_up, flags, running = 0x8914, 0x8913, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        held = struct.unpack("16sH14x", fcntl.ioctl(control, flags, request))[1]
        fcntl.ioctl(control, set_up, struct.pack("16sH14x", b"lo", held | running))


def disable_transmit_checksum_offload(interface: str) -> None:
    """Make an interface of the calling thread's namespace compute checksums itself (`ethtool -K tx off`).

    A user-space datapath takes packets off a veth before anything would have filled them in.

    Raises:
        OSError: there is no such interface.
    """
    value = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)


@contextmanager
def _restored() -> Iterator[None]:
    origin = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        _check(_LIBC.setns(origin, _CLONE_NEWNET), "setns back")
        os.close(origin)


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
