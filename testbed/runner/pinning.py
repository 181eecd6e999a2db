"""Which processors client and servers run on."""

from __future__ import annotations

import os

from testbed.errors import CapabilityMissing
from testbed.measurement.host import Pinning
from testbed.spec.experiment import PinningSpec


def choose_pinning(wanted: PinningSpec) -> Pinning:
    """Return which processors client and servers run on: the first and the last that we may use, unless told.

    With a single processor there is nothing to pin.

    Raises:
        CapabilityMissing: a processor is named that this machine does not have.
    """
    usable = sorted(os.sched_getaffinity(0))
    for processor in (wanted.client, wanted.server):
        if processor != "auto" and processor not in usable:
            raise CapabilityMissing(f"processor {processor}", "spec.pinning", f"usable here: {usable}")
    if len(usable) < 2 and wanted == PinningSpec():
        return Pinning(None, None)
    client = usable[0] if wanted.client == "auto" else wanted.client
    server = usable[-1] if wanted.server == "auto" else wanted.server
    return Pinning(client, server)
