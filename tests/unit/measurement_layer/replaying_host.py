"""A host that replays recorded output, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from testbed.errors import NotReady
from testbed.inet import Protocol
from testbed.measurement.host import Completed

DATA = Path(__file__).parent / "data"


def recorded(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


class FakeClock:
    def __init__(self) -> None:
        self.time_s = 0.0

    def now_s(self) -> float:
        return self.time_s

    def pause(self, seconds: float) -> None:
        self.time_s += seconds


class FakeProgram:
    def __init__(self, status: int | None, printed: str) -> None:
        self.status = status
        self.printed = printed
        self.is_held = False
        self.reply: Completed | None = None

    def poll(self) -> int | None:
        return self.status

    def output(self) -> str:
        return self.printed

    def hold(self) -> bool:
        self.is_held = self.status is None
        return self.is_held

    def release(self) -> None:
        self.is_held = False

    def wait(self, timeout_s: float) -> Completed:
        if self.reply is None:
            raise NotReady("it to end", timeout_s, "still running")
        return self.reply


class FakeHost:
    """Answers `run` from `replies` and keeps a journal of what was asked of it."""

    def __init__(self, name: str, reply: Callable[[Sequence[str]], Completed] | None = None) -> None:
        self.name = name
        self.reply = reply
        self.journal: list[tuple[str, tuple[str, ...], int | None]] = []
        self.program = FakeProgram(None, "")
        self.looks_until_listening: int | None = 0

    def run(self, argv: Sequence[str], *, timeout_s: float, cpu: int | None = None) -> Completed:
        self.journal.append(("run", tuple(argv), cpu))
        if self.reply is None:
            raise NotReady(f"{argv[0]} to end", timeout_s, "still running", where=self.name)
        return self.reply(argv)

    def start(self, argv: Sequence[str], *, cpu: int | None = None) -> AbstractContextManager[FakeProgram]:
        @contextmanager
        def running() -> Iterator[FakeProgram]:
            self.journal.append(("start", tuple(argv), cpu))
            try:
                yield self.program
            finally:
                self.journal.append(("stop", tuple(argv), cpu))

        return running()

    def is_listening(self, protocol: Protocol, port: int) -> bool:
        if self.looks_until_listening is None:
            return False
        self.looks_until_listening -= 1
        return self.looks_until_listening < 0
