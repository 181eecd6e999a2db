"""Shapes links: bandwidth and queue by htb and pfifo, delay by netem, loss by nftables. Verifies each.

Loss is drawn at the end of a link that is not a node's, both ways there: at a node's own end the sender
would be told of the loss (ENOBUFS) and send again, which no wire does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from testbed.cluster.underlay import LinkShape
from testbed.drivers.shell import run
from testbed.errors import RunFailed
from testbed.units import format_bit_rate

DEFAULT_QUEUE_PACKETS = 1000
_HTB_BURST_BYTES = 15_000
_LOSS_SCALE = 1_000_000
_RATE = re.compile(r"\brate ([0-9.]+)([KMGT]?)bit\b")
_RATE_FACTOR = {"": 1, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000, "T": 1_000_000_000_000}
_RATE_ROUNDING = 0.01
Json = dict[str, Any]  # what `tc -json` prints


@dataclass(frozen=True, slots=True)
class ShapedEnd:
    """An end of a link, in the namespace it lives in ("": the sandbox's own)."""

    namespace: str
    interface: str


def shape(end: ShapedEnd, wanted: LinkShape) -> None:
    """Shape what leaves by an interface (bandwidth, queue, delay), and verify it.

    Raises:
        CommandFailed: the kernel refuses.
        RunFailed: the kernel has something else than what was asked for.
    """
    if wanted.bandwidth_bps is None and wanted.delay_ns is None and wanted.queue_packets is None:
        return
    for arguments in shaping_commands(end.interface, wanted):
        run(["tc", *arguments], namespace=end.namespace)
    verify(end, wanted)


def shaping_commands(interface: str, wanted: LinkShape) -> list[list[str]]:
    """Return the `tc` argument lists that shape an interface."""
    queue = wanted.queue_packets or DEFAULT_QUEUE_PACKETS
    commands: list[list[str]] = []
    parent = ["root"]
    if wanted.bandwidth_bps is not None:
        rate = f"{wanted.bandwidth_bps}bit"
        commands.append(["qdisc", "replace", "dev", interface, "root", "handle", "5:", "htb", "default", "1"])
        htb = [
            "htb",
            "rate",
            rate,
            "ceil",
            rate,
            "burst",
            str(_HTB_BURST_BYTES),
            "cburst",
            str(_HTB_BURST_BYTES),
        ]
        commands.append(["class", "replace", "dev", interface, "parent", "5:", "classid", "5:1", *htb])
        parent = ["parent", "5:1"]
    if wanted.delay_ns is not None:
        leaf = ["netem", "delay", f"{wanted.delay_ns / 1000:.3f}us", "limit", str(queue)]
    else:
        leaf = ["pfifo", "limit", str(queue)]
    commands.append(["qdisc", "replace", "dev", interface, *parent, "handle", "10:", *leaf])
    return commands


def lose(end: ShapedEnd, fraction: float) -> None:
    """Drop a random fraction of what passes an interface, each way on its own, and verify it.

    Raises:
        CommandFailed: the kernel has no netdev hooks.
    """
    threshold = round(fraction * _LOSS_SCALE)
    run(["nft", "-f", "-"], namespace=end.namespace, stdin=loss_rules(end.interface, threshold))
    held = run(["nft", "list", "table", "netdev", _loss_table(end.interface)], namespace=end.namespace)
    if held.count("drop") < 2:
        raise RunFailed(f"loss of {fraction:.2%} on {end.interface} is not in force: {held}")


def loss_rules(interface: str, threshold: int) -> str:
    """Return the nftables text that drops `threshold` in a million packets each way."""
    chains = "".join(
        f'  chain {hook} {{ type filter hook {hook} device "{interface}" priority 0; '
        f"numgen random mod {_LOSS_SCALE} < {threshold} counter drop; }}\n"
        for hook in ("ingress", "egress")
    )
    return f"table netdev {_loss_table(interface)} {{\n{chains}}}\n"


def verify(end: ShapedEnd, wanted: LinkShape) -> None:
    """Check by `tc` that an interface is shaped as wanted.

    Raises:
        RunFailed: it is not; says what is there.
    """
    qdiscs = json.loads(run(["tc", "-json", "qdisc", "show", "dev", end.interface], namespace=end.namespace))
    classes = run(["tc", "class", "show", "dev", end.interface], namespace=end.namespace)
    wrong = [*_wrong_queue(qdiscs, wanted), *_wrong_rate(classes, wanted)]
    if wrong:
        raise RunFailed("; ".join(wrong), where=f"{end.namespace or 'underlay'} {end.interface}")


def _wrong_queue(qdiscs: list[Json], wanted: LinkShape) -> list[str]:
    kind = "pfifo" if wanted.delay_ns is None else "netem"
    leaf = next((qdisc for qdisc in qdiscs if qdisc.get("kind") == kind), None)
    if leaf is None:
        return [f"no {kind} queue; there is {[qdisc.get('kind') for qdisc in qdiscs]}"]
    options = leaf.get("options", {})
    wrong = []
    limit = wanted.queue_packets or DEFAULT_QUEUE_PACKETS
    if options.get("limit") != limit:
        wrong.append(f"queue of {options.get('limit')} packets instead of {limit}")
    if wanted.delay_ns is not None:
        held_s = float(options.get("delay", {}).get("delay", 0.0))
        if abs(held_s - wanted.delay_ns / 1e9) > 1e-6:
            wrong.append(f"delay of {held_s * 1e3:g} ms instead of {wanted.delay_ns / 1e6:g} ms")
    return wrong


def _wrong_rate(classes: str, wanted: LinkShape) -> list[str]:
    if wanted.bandwidth_bps is None:
        return []
    # tc has no JSON for classes; it rounds what it shows to three or four digits.
    rates_bps = [float(number) * _RATE_FACTOR[unit] for number, unit in _RATE.findall(classes)]
    if not any(abs(rate / wanted.bandwidth_bps - 1) < _RATE_ROUNDING for rate in rates_bps):
        return [f"bandwidth {rates_bps} instead of {format_bit_rate(wanted.bandwidth_bps)}"]
    return []


def _loss_table(interface: str) -> str:
    return f"loss-{interface}"
