"""What a node holds for some Services, with what tells an entry from one put in its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from scenarios.holding import open_vswitch

from controllers.pipeline.tables import owner_cookie
from testbed.dataplanes.iptables import IptablesChain
from testbed.dataplanes.nftables import NftChain
from testbed.drivers.shell import run
from testbed.emulation.cluster import EmulatedCluster

_FIELD = re.compile(r"\b(cookie|duration|n_packets|table)=(?:0x)?([0-9a-f.]+)")
_COUNTER = re.compile(r"packets (\d+) bytes \d+")
_HANDLE = re.compile(r"# handle (\d+)$")
Json = dict[str, Any]


def entries_of(cluster: EmulatedCluster, node: str, services: Sequence[str]) -> list[Json]:
    """Return the flows, or the rules, of Services on a node: text, identity and packets that met it."""
    if open_vswitch(cluster) is not None:
        return _flows(cluster, node, services)
    identity = cluster.intent.nodes[node]
    rules: list[Json] = []
    for name in services:
        thing = cluster.intent.shared[f"Service/{name}"]
        for each in cluster.dataplane.render_object(identity, thing):
            if isinstance(each, IptablesChain):
                rules += _rules(node, f"ip {each.table}", each.name)
            elif isinstance(each, NftChain):
                rules += _rules(node, each.table, each.name)
    return rules


def _rules(node: str, table: str, chain: str) -> list[Json]:
    listed = run(["nft", "-a", "list", "chain", *table.split(), chain], namespace=node)
    found = []
    for line in listed.splitlines():
        handle = _HANDLE.search(line)
        if handle and not line.strip().startswith(("table", "chain")):
            counted = _COUNTER.search(line)
            text = _COUNTER.sub("", _HANDLE.sub("", line)).strip()
            packets = int(counted.group(1)) if counted else 0
            found.append({"entry": f"{chain}: {text}", "made": handle.group(1), "packets": packets})
    return found


def _flows(cluster: EmulatedCluster, node: str, services: Sequence[str]) -> list[Json]:
    """Return flows; what tells a flow from a later one is when it was made, as seen from now: "made" is "".

    Open vSwitch keeps how long a flow has been there, which a later look must see grown.
    """
    switch = open_vswitch(cluster)
    assert switch is not None
    cookies = {owner_cookie(f"Service/{name}") for name in services}
    target = f"unix:{switch.switches[node].folder}/br-int.mgmt"
    found = []
    for line in run(["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", target]).splitlines():
        fields = dict(_FIELD.findall(line))
        if "cookie" in fields and int(fields["cookie"], 16) in cookies:
            found.append(
                {
                    "entry": f"table {fields['table']} {line[line.index('priority') :]}",
                    "made": "",
                    "duration_s": float(fields["duration"]),
                    "packets": int(fields["n_packets"]),
                }
            )
    return sorted(found, key=lambda flow: str(flow["entry"]))
