"""Many Services, and one more while the cluster runs: measured over every service proxy on the kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import call

from testbed.dataplanes.catalogue import SERVICE_PROXIES
from testbed.records.store import read_run
from tests.combinations import SERVED, Combination

SERVICES, ADDED = 20, 3
CHOSEN = [each for each in SERVED if each.carrier == "vxlan" and not each.direct_routing]


def experiment(combination: Combination, folder: Path) -> Path:
    """Write an experiment for a dataplane; JSON is YAML."""
    spec = {
        "cluster": {"nodes": 2, **combination.spec()},
        "services": SERVICES,
        "measurements": [
            {
                "name": "first-packet",
                "type": "connect",
                "paths": ["first-service", "last-service"],
                "count": 50,
            },
            {"name": "change", "type": "programming", "count": ADDED},
        ],
        "repeats": 1,
    }
    document = {
        "apiVersion": "testbed/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "many"},
        "spec": spec,
    }
    file = folder / "many.yaml"
    file.write_text(json.dumps(document))
    return file


@pytest.fixture(scope="module", params=CHOSEN, ids=str)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("many")
    done = call(["run", experiment(request.param, folder), "--out", folder / "out"], folder)
    assert done.returncode == 0, done.stderr
    return read_run(folder / "out")


def test_every_service_proxy_is_tried() -> None:
    assert {each.proxy for each in CHOSEN} == SERVICE_PROXIES.keys() - {"none"}


def test_every_trial_came_about(run: Any) -> None:
    record, _ = run
    assert [trial.error for trial in record.trials if trial.error] == []
    paths = {(trial.measurement, trial.path) for trial in record.trials}
    assert paths == {
        ("first-packet", "raw-veth"),
        ("first-packet", "first-service"),
        ("first-packet", "last-service"),
        ("change", "new-service"),
    }


def test_a_service_that_is_added_answers_soon_after_every_node_has_it(run: Any) -> None:
    record, samples = run
    (index,) = (at for at, trial in enumerate(record.trials) if trial.path == "new-service")
    own = samples[samples["trial"] == index]
    in_force = own[own["metric"] == "programming_us"]["value"].tolist()
    answered = own[own["metric"] == "first_connection_us"]["value"].tolist()
    assert len(in_force) == len(answered) == ADDED
    # Attempts begin every 2 ms: the first success is never long after all nodes have the Service. How
    # long both take is for benchmarks to say; that they belong together is asked here.
    assert all(late > 0 for late in answered)
    assert all(late < soon + 1_000_000 for soon, late in zip(in_force, answered, strict=True))
