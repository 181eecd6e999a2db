"""Programs in a host's namespace: each has its own output, whoever else runs there."""

from __future__ import annotations

import sys
from pathlib import Path

from testbed.emulation.processes import Processes
from testbed.runner.hosts import NamespaceHost

OUR_OWN = ""


def test_programs_of_different_purposes_do_not_share_their_output(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        for purpose in ("client of trial 1", "server of trial 1", "client of trial 2"):
            host = NamespaceHost("shop/web", OUR_OWN, processes, purpose)
            with host.start([sys.executable, "-c", f"print({purpose!r})"]) as program:
                assert program.wait(10).stdout == f"{purpose}\n"
            name = f"{Path(sys.executable).name}, {purpose}, in shop/web"
            assert program.process.name == name
