"""Scenarios of the iptables driver, each in a namespace of its own of a sandbox without a cluster."""

from __future__ import annotations

import base64
import json
import os
import pickle
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from testbed.dataplanes.program import Difference, ProgramObject, difference
from testbed.drivers.iptables import IptablesDriver, may_send_large_messages
from testbed.drivers.shell import run
from testbed.emulation.namespaces import create, entered
from testbed.emulation.sandbox import RUN_FOLDER, serve
from testbed.errors import RunFailed

Program = Sequence[ProgramObject]
Json = dict[str, Any]
ALONE = "alone"


def namespace_with(name: str, program: Program) -> IptablesDriver:
    """Make a namespace, apply a program to it, and return its driver."""
    create(name, has_ipv6=False)
    driver = IptablesDriver(name)
    driver.apply(program)
    return driver


def saved(namespace: str) -> list[str]:
    """Return what iptables-save says, without dates and counters."""
    text = run(["iptables-nft-save"], namespace=namespace)
    return [line.split(" [")[0] for line in text.splitlines() if not line.startswith("#")]


def listed(namespace: str) -> str:
    """Return all tables, with the handle and the counters of each rule."""
    return run(["nft", "--handle", "list", "ruleset"], namespace=namespace)


def commanded(namespace: str, commands: Sequence[str]) -> None:
    """Run commands in a namespace."""
    for command in commands:
        run(shlex.split(command), namespace=namespace)


def failure(action: Callable[[], object]) -> str:
    """Return the error that something ends with; "" if it does not."""
    try:
        action()
    except RunFailed as error:
        return f"{type(error).__name__}: {error}"
    return ""


def applied(program: Program) -> list[str]:
    """Apply a program to an empty namespace and return what is there."""
    namespace_with("applied", program)
    return saved("applied")


def applied_twice(program: Program) -> Json:
    """Apply a program three times, a packet after the first; return what is listed then, and last."""
    first = namespace_with("twice", program)
    with entered("twice"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"?", ("127.0.0.1", 9))
    before = listed("twice")
    first.apply(program)
    IptablesDriver("twice").apply(program)
    return {"before": before, "after": listed("twice")}


def repaired(given: tuple[Program, Sequence[str], Mapping[str, Sequence[str]]]) -> Json:
    """Damage a namespace in several ways, and apply its program after each.

    Returns, for each way, how many differences were seen and what was saved afterwards.
    """
    program, foreign, damages = given
    create("repaired", has_ipv6=False)
    commanded("repaired", foreign)
    driver = IptablesDriver("repaired")
    driver.apply(program)
    undamaged = saved("repaired")
    found = {}
    for name, commands in damages.items():
        commanded("repaired", commands)
        left = difference(driver.observe(program), mine(program))
        driver.apply(program)
        seen = len((*left.added, *left.replaced, *left.removed))
        found[name] = [seen, saved("repaired")]
    return {"undamaged": [0, undamaged], **found}


def mine(program: Program) -> Program:
    """Return what is iptables' of a program."""
    return [thing for thing in program if thing.key.startswith("iptables ")]


def changed(
    sequences: Sequence[tuple[Program, Sequence[Difference], Sequence[Difference], Program]],
) -> list[Json]:
    """Change programs step by step, and back; return what is there, and what applying gives."""
    found = []
    for number, (first, forth, back, last) in enumerate(sequences):
        name = f"changed{number}"
        driver = namespace_with(name, first)
        lines = {"first": saved(name)}
        for change in forth:
            driver.change(change)
        lines["last"] = saved(name)
        for change in back:
            driver.change(change)
        lines["back"] = saved(name)
        namespace_with(f"scratch{number}", last)
        found.append({**lines, "scratch": saved(f"scratch{number}")})
    return found


def changed_blindly(given: tuple[Program, Difference, Program]) -> Json:
    """Make a change where no iptables-save is to be found."""
    program, change, after = given
    driver = namespace_with("blind", program)
    folder = RUN_FOLDER / "few-programs"
    folder.mkdir()
    for name in ("nsenter", "iptables-nft-restore"):
        (folder / name).symlink_to(str(shutil.which(name)))
    path, os.environ["PATH"] = os.environ["PATH"], str(folder)
    try:
        observing = failure(lambda: driver.observe(program))
        driver.change(change)
    finally:
        os.environ["PATH"] = path
    namespace_with("seeing", after)
    return {"observing": observing, "blind": saved("blind"), "seeing": saved("seeing")}


def refused(given: tuple[Program, ProgramObject, ProgramObject, ProgramObject]) -> Json:
    """Apply what cannot be, and change what cannot be changed; return the errors and what was left."""
    program, unusual, broken, harmless = given
    create("refused", has_ipv6=False)
    driver = IptablesDriver("refused")
    unusual_says = failure(lambda: driver.apply([*program, unusual]))
    driver.apply(program)
    before = saved("refused")
    broken_says = failure(lambda: driver.change(Difference((broken, harmless), (), ())))
    after = saved("refused")
    then_says = failure(lambda: driver.change(Difference((harmless,), (), ())))
    driver.apply(program)
    driver.change(Difference((harmless,), (), ()))
    return {
        "unusual": unusual_says,
        "broken": broken_says,
        "then": then_says,
        "before": before,
        "after": after,
        "mended": saved("refused"),
    }


def unprivileged(program: Program) -> Json:
    """Apply a program in a user namespace, as in an ordinary user's sandbox."""
    argv = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-m", __spec__.name, ALONE]
    given = base64.b64encode(pickle.dumps(program)).decode()
    done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False)
    return {"stderr": done.stderr, **(json.loads(done.stdout) if done.returncode == 0 else {})}


def apply_alone() -> None:
    """Apply the program on standard input to the namespace that we are in, and print what is there."""
    IptablesDriver("").apply(pickle.loads(base64.b64decode(sys.stdin.read())))
    print(json.dumps({"may_send_large": may_send_large_messages(), "saved": saved("")}))


SCENARIOS: Mapping[str, Callable[[Any], object]] = {
    "applied": applied,
    "applied_twice": applied_twice,
    "repaired": repaired,
    "changed": changed,
    "changed_blindly": changed_blindly,
    "refused": refused,
    "unprivileged": unprivileged,
}


def carry_out(wire: Json, emit: Callable[[Json], None]) -> None:
    """Run the scenarios asked for, in their order."""
    given = pickle.loads(base64.b64decode(wire["pickle"]))
    for name, argument in given.items():
        emit({"event": "result", "scenario": name, "value": SCENARIOS[name](argument)})


if __name__ == "__main__":
    if ALONE in sys.argv:
        apply_alone()
    else:
        serve(carry_out)
