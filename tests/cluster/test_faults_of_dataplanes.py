"""Every dataplane when something goes wrong: one clear message, the exit code, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from command_line import INPUTS, Machine, answers, await_clean, call, calling, is_one_message, path_with

from testbed.dataplanes.catalogue import mechanisms_of
from testbed.runner.preflight import PROGRAMS_OF_MECHANISM, find_program
from tests.combinations import SERVED, Combination

PAIR = INPUTS / "pair.yaml"
MISSING = [
    (combination, program)
    for combination in SERVED
    if combination.carrier in {"", "vxlan"} and not combination.direct_routing
    for mechanism in mechanisms_of(combination.plugin, combination.proxy)
    for program in PROGRAMS_OF_MECHANISM[mechanism]
]
"""A dataplane, and a program without which it cannot be made."""

FAILING = {
    "iptables": ("iptables-nft-restore", "KUBE-SERVICES"),
    "nftables": ("nft", "kube-proxy"),
    "iproute": ("bridge", "fdb replace"),
}
"""By mechanism, a program to fail when a word comes to it on standard input."""

_FAILS_ON_WORD = """
input=$(cat)
case "$input" in *"{word}"*) echo "{program}: the stand-in has no memory" >&2; exit 1;; esac
printf '%s\\n' "$input" | {real} "$@"
"""


def cluster_file(combination: Combination, folder: Path) -> Path:
    """Write a Cluster that asks for a dataplane; JSON is YAML."""
    nodes = min(2, combination.most_nodes or 2)
    cluster = {
        "apiVersion": "testbed/v1alpha1",
        "kind": "Cluster",
        "spec": {"nodes": nodes, **combination.spec()},
    }
    file = folder / "cluster.yaml"
    file.write_text(json.dumps(cluster))
    return file


def probing(combination: Combination, folder: Path) -> list[str | Path]:
    return ["probe", "-f", PAIR, "--cluster", cluster_file(combination, folder), "--json"]


@pytest.mark.parametrize("combination", SERVED, ids=str)
def test_killed_while_it_programs_the_nodes(combination: Combination, tmp_path: Path) -> None:
    before = Machine.now()
    with calling(probing(combination, tmp_path), tmp_path) as running:
        running.wait_for_line("building: node programs")
        running.look()
        running.popen.send_signal(signal.SIGKILL)
        running.popen.wait()
        assert running.seen_namespaces
        await_clean(running, before)


@pytest.mark.parametrize("combination", SERVED, ids=str)
def test_interrupted_while_it_programs_the_nodes(combination: Combination, tmp_path: Path) -> None:
    before = Machine.now()
    with calling(probing(combination, tmp_path), tmp_path) as running:
        running.wait_for_line("building: node programs")
        running.look()
        running.popen.send_signal(signal.SIGINT)
        done = running.finish()
        await_clean(running, before)
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == "testbed: interrupted"


@pytest.mark.parametrize(
    ("combination", "program"), MISSING, ids=[f"{each}-{program}" for each, program in MISSING]
)
def test_a_program_is_missing(combination: Combination, program: str, tmp_path: Path) -> None:
    where = find_program(program)
    assert where is not None
    hide = 'mount --bind /dev/null "$(realpath "$0")" && exec "$@"'
    prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", hide, where]
    done = call(probing(combination, tmp_path), tmp_path, prefix=prefix)
    assert done.returncode == 4, done.stderr
    assert is_one_message(done.stderr), done.stderr
    package = next(held[program] for held in PROGRAMS_OF_MECHANISM.values() if program in held)
    assert "is not installed" in done.stderr
    assert f"Debian package {package}" in done.stderr  # several programs are often one file
    assert "building:" not in done.stderr


FAILED = [
    (combination, mechanism)
    for combination in SERVED
    for mechanism in mechanisms_of(combination.plugin, combination.proxy)
    if mechanism in FAILING
    and not (mechanism == "iproute" and (combination.plugin == "ovs" or combination.encapsulation == "none"))
    and not (mechanism == "iptables" and combination.proxy != "iptables")
    and combination.carrier in {"", "vxlan"}
]


@pytest.mark.parametrize(
    ("combination", "mechanism"), FAILED, ids=[f"{each}-{mechanism}" for each, mechanism in FAILED]
)
def test_a_program_fails_half_way(combination: Combination, mechanism: str, tmp_path: Path) -> None:
    if combination.direct_routing and mechanism == "iproute":
        mechanism = "iptables"  # nodes of one segment need no entries
    program, word = FAILING[mechanism]
    script = _FAILS_ON_WORD.format(word=word, program=program, real=shutil.which(program))
    before = Machine.now()
    path = path_with(tmp_path / "bin", program, script)
    with calling(probing(combination, tmp_path), tmp_path, environment={"PATH": path}) as running:
        done = running.finish()
        await_clean(running, before)
    assert done.returncode == 5, done.stderr
    assert is_one_message(done.stderr), done.stderr
    assert f"{program}: the stand-in has no memory" in done.stderr
    assert "node1" in done.stderr or "node2" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("combination", [each for each in SERVED if each.plugin != "ovs"], ids=str)
def test_a_dataplane_of_the_kernel_needs_no_tun_device(combination: Combination, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to close /dev/net/tun")
    script = 'touch "$1" && chmod 0 "$1" && mount --bind "$1" /dev/net/tun && shift && exec "$@"'
    prefix = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
        "sh",
        str(tmp_path / "tun"),
    ]
    lame = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    done = call(probing(combination, tmp_path), tmp_path, prefix=[*prefix, *lame])
    assert {each["verdict"] for each in answers(done)} == {"allowed"}
