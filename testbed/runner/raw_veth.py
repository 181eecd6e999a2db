"""The baseline path: two namespaces and one veth pair, nothing between them."""

from __future__ import annotations

from ipaddress import ip_address

from testbed.emulation.cluster import RAW_VETH_ADDRESSES
from testbed.measurement.host import Host, Path
from testbed.records.schema import RAW_VETH


def raw_veth_path(client: Host, server: Host, port: int) -> Path:
    """Return the baseline path; a tool's server listens on `port`, and the client aims there."""
    return Path(RAW_VETH, client, (server,), ip_address(RAW_VETH_ADDRESSES[1]), port, port)
