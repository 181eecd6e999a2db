"""Every Pod to every Pod, as `testbed probe` asks. Runs inside a sandbox."""

from __future__ import annotations

from collections import Counter
from time import monotonic

from testbed.emulation.namespaces import pod_namespace
from testbed.emulation.prober import Attempt, Verdict
from testbed.emulation.processes import Processes
from testbed.emulation.sandbox import RUN_FOLDER
from testbed.runner.probe import all_questions
from tests.bench.bring_up import built
from tests.bench.generated import deployment, plan


def measure(nodes: int, pods: int) -> tuple[dict[str, float], str]:
    """Bring a cluster up and try all pairs once over TCP, each Pod to itself too."""
    began = monotonic()
    decided = plan(nodes, [deployment("web", pods)])
    questions = all_questions(decided.state)
    with Processes(RUN_FOLDER) as processes:
        cluster = built(decided, processes)
        attempts = [
            Attempt(
                pod_namespace(*question.source.split("/", 1)),
                question.source,
                question.target,
                question.address,
                question.protocol,
                question.port,
            )
            for question in questions
        ]
        asked = monotonic()
        outcomes = cluster.try_all(attempts)
        ended = monotonic()
        verdicts = Counter(outcome.verdict for outcome in outcomes)
        readings = {
            "all pairs": ended - asked,
            "allowed": float(verdicts[Verdict.ALLOWED]),
            "refused": float(verdicts[Verdict.REFUSED]),
            "blocked": float(verdicts[Verdict.BLOCKED]),
            "answered by the Pod asked": float(
                sum(outcome.endpoint == outcome.attempt.target for outcome in outcomes)
            ),
            "with bring-up": ended - began,
        }
        return readings, cluster.datapath_type
