"""How much iptables and nft may send to the kernel at once: a transaction is one message."""

from __future__ import annotations

import socket

LINES_UNFORCED = 128
"""Lines whose netlink messages, of about 1 KiB each at most, fit into the kernel's default send buffer."""

_SO_SNDBUFFORCE = 32


def may_send_large_messages() -> bool:
    """Return whether a tool may enlarge its send buffer to take a transaction of any size.

    That needs CAP_NET_ADMIN in the first user namespace: an ordinary user's sandbox has it in its own only.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        try:
            netlink.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 1 << 20)
        except PermissionError:
            return False
    return True
