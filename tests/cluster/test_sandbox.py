"""A run leaves nothing on the machine, however it ends; two at once never meet; no root is needed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import monotonic, sleep

import pytest
from command_line import (
    INPUTS,
    QUICKSTART,
    ROOT,
    Machine,
    answers,
    await_clean,
    call,
    calling,
    is_one_message,
)

from tests.combinations import SERVED, Combination

PAIR = INPUTS / "pair.yaml"
_RANDOM = Random(3)
MORE_THAN_ONE_MESSAGE = 300
"""So many Services that an ordinary user's netfilter tools cannot send them at once."""
MOMENTS_S = sorted(round(_RANDOM.uniform(0.2, 8.0), 2) for _ in range(10))
_AS_ORDINARY_USER = """
set -e
mknod "$1/tun" c 10 200
chmod 666 "$1/tun"
mount --bind "$1/tun" /dev/net/tun
export HOME="$1"
shift
exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all -- "$@"
"""


def test_two_at_once_both_succeed(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    with (
        calling(["probe", "-f", PAIR, "--json"], folders[0]) as first,
        calling(["probe", "-f", PAIR, "--json"], folders[1]) as second,
    ):
        results = [answers(first.finish()), answers(second.finish())]
    for result in results:
        assert len(result) == 6  # two Pods to two Pods and the Service
        assert {each["verdict"] for each in result} == {"allowed"}


class TestKilled:
    """SIGKILL at any moment."""

    namespaces_seen = 0

    @pytest.mark.parametrize("moment_s", MOMENTS_S)
    def test_nothing_is_left(self, moment_s: float, tmp_path: Path) -> None:
        before = Machine.now()
        out = tmp_path / "out"
        began = monotonic()
        with calling(["run", QUICKSTART, "--out", out], tmp_path) as running:
            while monotonic() - began < moment_s:
                running.look()
                sleep(0.05)
            assert running.look(), "the mark does not find the call's processes"
            assert running.popen.poll() is None, "it ended before it was to be killed"
            running.popen.send_signal(signal.SIGKILL)
            running.popen.wait()
            TestKilled.namespaces_seen += len(running.seen_namespaces)
            await_clean(running, before)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["tmp"]
        assert [*(tmp_path / "tmp").iterdir()] == []

    def test_there_was_something_to_leave(self) -> None:
        # A sandbox has five namespaces, and every node and Pod one more.
        assert TestKilled.namespaces_seen > 5 * 8


@pytest.mark.parametrize(
    ("moment", "signal_number"),
    [("building: Pods", signal.SIGINT), ("[1/", signal.SIGINT), ("building: flows", signal.SIGTERM)],
    ids=["SIGINT while building", "SIGINT while measuring", "SIGTERM"],
)
def test_an_interrupt_ends_it_cleanly(moment: str, signal_number: signal.Signals, tmp_path: Path) -> None:
    before = Machine.now()
    out = tmp_path / "out"
    with calling(["run", QUICKSTART, "--out", out], tmp_path) as running:
        running.wait_for_line(moment)
        running.look()
        running.popen.send_signal(signal_number)
        done = running.finish()
        await_clean(running, before)
    assert done.returncode == 130, done.stderr
    assert is_one_message(done.stderr)
    assert done.stderr.splitlines()[-1] == "testbed: interrupted"
    assert done.stdout == ""
    assert [*(tmp_path / "tmp").iterdir()] == []
    assert not out.exists()


def test_an_interrupt_while_it_starts_up_ends_it_cleanly(tmp_path: Path) -> None:
    with calling(["run", QUICKSTART, "--out", tmp_path / "out"], tmp_path) as running:
        while "testbed" not in "".join(running.look().values()):
            sleep(0.01)
        sleep(0.3)
        running.popen.send_signal(signal.SIGINT)
        done = running.finish()
    assert "Traceback" not in done.stderr
    assert done.returncode == 130


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may write to and reach, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="testbed-test-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "combination", [each for each in SERVED if each.carrier == "vxlan" and not each.direct_routing], ids=str
)
def test_an_ordinary_user_needs_no_root(combination: Combination, open_folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become an ordinary user with a /dev/net/tun that is open to all")
    (open_folder / "tmp").mkdir(mode=0o777)
    (open_folder / "tmp").chmod(0o777)
    prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _AS_ORDINARY_USER, "sh"]
    whoami = call(["--version"], open_folder, prefix=["setpriv", "--reuid=65534", "--clear-groups", "--"])
    if whoami.returncode:
        pytest.skip(f"an ordinary user cannot read the checkout at {ROOT}: {whoami.stderr[-200:]}")
    cluster, services = open_folder / "cluster.yaml", open_folder / "services.yaml"
    spec = {"nodes": 2, **combination.spec()}
    cluster.write_text(json.dumps({"apiVersion": "testbed/v1alpha1", "kind": "Cluster", "spec": spec}))
    services.write_text(json.dumps(many_services(MORE_THAN_ONE_MESSAGE)))
    arguments: list[str | Path] = ["probe", "-f", PAIR, "-f", services, "--cluster", cluster, "--json"]
    done = call(arguments, open_folder, prefix=[*prefix, str(open_folder)])
    found = answers(done)
    assert len(found) > 2 * MORE_THAN_ONE_MESSAGE
    assert {each["verdict"] for each in found} == {"allowed"}


def many_services(count: int) -> dict[str, object]:
    """That many Services before the Pods of PAIR."""
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    items = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"more-{number}"}, "spec": spec}
        for number in range(count)
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}
