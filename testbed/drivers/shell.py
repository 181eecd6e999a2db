"""Runs programs by argument list, optionally inside a named network namespace. A failure is a typed error.

The one way any driver starts a program that ends by itself; long-running ones are `emulation.processes`'
business.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from testbed.errors import CommandFailed, NotReady, ProgramMissing

NETNS_FOLDER = Path("/run/netns")
DEFAULT_TIMEOUT_S = 60.0

_PACKAGES = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "bridge": "iproute2",
    "iptables-nft-restore": "iptables",
    "iptables-nft-save": "iptables",
    "ethtool": "ethtool",
    "ovs-vsctl": "openvswitch-switch",
    "ovs-appctl": "openvswitch-switch",
    "ovsdb-tool": "openvswitch-switch",
}


def inside(namespace: str, argv: Sequence[str]) -> list[str]:
    """Return the argument list that runs a program inside a named network namespace ("": where we are)."""
    return [*(["nsenter", f"--net={NETNS_FOLDER / namespace}", "--"] if namespace else []), *argv]


def run(
    argv: Sequence[str], *, namespace: str = "", stdin: str = "", timeout_s: float = DEFAULT_TIMEOUT_S
) -> str:
    """Run a program to its end and return its standard output.

    Raises:
        ProgramMissing: it is not installed.
        CommandFailed: it ended with a status other than 0.
        NotReady: it had not ended in time.
    """
    try:
        done = subprocess.run(
            inside(namespace, argv),
            input=stdin,
            text=True,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise ProgramMissing(str(error.filename), _PACKAGES.get(argv[0], argv[0])) from error
    except subprocess.TimeoutExpired as error:
        raise NotReady(
            f"`{' '.join(argv)[:200]}` to end", timeout_s, "still running", where=namespace
        ) from error
    if done.returncode:
        raise CommandFailed(argv, done.returncode, done.stderr or done.stdout, namespace=namespace)
    return done.stdout
