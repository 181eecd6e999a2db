"""The exception tree of the testbed. Only `testbed.cli` turns one into an exit status.

    TestbedError                5  something failed while it ran
      UsageError                2  the command line asks for something that does not exist
      SpecError                 3  a file says something impossible; carries every finding of the file
      CapacityError             3  the YAML asks for more than its own address ranges hold
      EnvironmentProblem        4  this machine lacks a program, a permission, a kernel part or room
        CapabilityMissing       4  a kernel capability, by its name
        ProgramMissing          4  a program, with the package that brings it
        ResultsExist            4  a results folder would be overwritten
      RunFailed                 5
        CommandFailed           5  a program failed: argv, namespace, exit status, stderr
        ProcessDied             5  a long-running process ended by itself
        NotReady                5  a named condition did not come true in time: what was last seen
      AssertionFailed           1  what was asked about the network is not so
      Interrupted             130  Ctrl-C or SIGTERM

Every error says what is wrong, where, and how to mend it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TestbedError(Exception):
    """Something the testbed can explain: `what` happened, `where`, and `fix`, each possibly empty."""

    exit_code = 5
    __test__ = False  # pytest: not a test class

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        mend = f"; {self.fix}" if self.fix else ""
        return f"{place}{self.what}{mend}"


class UsageError(TestbedError):
    """The command line asks for something that does not exist."""

    exit_code = 2


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing wrong in one file. Lines and columns count from 1; 0 where the file has no such place."""

    file: str
    line: int
    column: int
    path: str
    what: str
    allowed: str = ""
    fix: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        parts = "; ".join(part for part in (self.what, self.allowed, self.fix) if part)
        return f"{place}: {self.path}: {parts}" if self.path else f"{place}: {parts}"


class SpecError(TestbedError):
    """A file says something impossible. Carries every finding, in the order of the file."""

    exit_code = 3

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(sorted(set(findings)))
        super().__init__("\n".join(str(finding) for finding in self.findings))


class CapacityError(TestbedError):
    """The YAML asks for more than its own address ranges hold."""

    exit_code = 3


class EnvironmentProblem(TestbedError):
    """This machine lacks a program, a permission, a kernel part or room on its disk."""

    exit_code = 4


class CapabilityMissing(EnvironmentProblem):
    """The kernel cannot do something that the experiment asks for."""

    def __init__(self, capability: str, needed_for: str, fix: str = "") -> None:
        super().__init__(
            f"this kernel lacks '{capability}', needed for {needed_for}",
            fix=fix or "`testbed doctor` lists what this machine can do",
        )
        self.capability = capability


class ProgramMissing(EnvironmentProblem):
    """A program that a run needs is not installed."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(
            f"the program '{program}' is not installed",
            fix=f"`make setup` installs it (Debian package {package})",
        )
        self.program = program


class ResultsExist(EnvironmentProblem):
    """A run would overwrite results that are already there."""


class RunFailed(TestbedError):
    """A run could not be carried through."""


class CommandFailed(RunFailed):
    """A program ended with an error."""

    def __init__(self, argv: Sequence[str], status: int, stderr: str, *, namespace: str = "") -> None:
        shown = " ".join(argv)
        if len(shown) > 300:
            shown = f"{shown[:300]} ..."
        said = stderr.strip()[-2000:] or "(it said nothing on stderr)"
        super().__init__(f"`{shown}` ended with status {status}: {said}", where=namespace)
        self.argv = tuple(argv)
        self.status = status
        self.stderr = stderr


class ProcessDied(RunFailed):
    """A long-running process ended by itself."""


class NotReady(RunFailed):
    """A named condition did not come true in time."""

    def __init__(self, condition: str, timeout_s: float, last_seen: object, *, where: str = "") -> None:
        super().__init__(
            f"waited {timeout_s:g} s for {condition}; last seen: {last_seen}",
            where=where,
        )
        self.condition = condition


class AssertionFailed(TestbedError):
    """What was asked about the network is not so."""

    exit_code = 1


class Interrupted(TestbedError):
    """Ctrl-C or SIGTERM."""

    exit_code = 130

    def __init__(self, what: str = "interrupted") -> None:
        super().__init__(what)
