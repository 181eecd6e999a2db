"""What can go wrong with a tool's output. Owns one exception; the tree it hangs in is `testbed.errors`."""

from __future__ import annotations

import re

from testbed.errors import RunFailed

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

EXCERPT_CHARACTERS = 300
"""How much of a tool's output an error quotes, from its end, where tools put their complaint."""


class ToolOutputError(RunFailed):
    """A tool printed something that holds no measurement: a complaint, a torn record, or no reply at all."""

    def __init__(self, tool: str, what: str, printed: str = "") -> None:
        quoted = excerpt(printed)
        super().__init__(f"{tool}: {what}" + (f"; it printed: {quoted}" if quoted else ""))
        self.tool = tool


def excerpt(printed: str) -> str:
    """Return the end of a tool's output on one line without colours, marked where something was cut off."""
    line = " ".join(_COLOUR.sub("", printed).split())
    return line if len(line) <= EXCERPT_CHARACTERS else f"... {line[-EXCERPT_CHARACTERS:]}"
