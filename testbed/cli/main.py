"""The command `testbed`: collects the commands, turns errors into one clear message and an exit code.

stdout is the result, stderr the progress. Exit codes: 0 ok, 1 an assertion failed, 2 usage, 3 bad YAML,
4 environment, 5 the run failed, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType

import click

from testbed.errors import Interrupted, SpecError, TestbedError

PIPE_CLOSED = 141
COMMANDS = {
    "check": "Validate files; no root.",
    "doctor": "Say what this machine can do, and which experiments need more.",
    "probe": "Bring up a throw-away cluster and say what reaches what.",
    "render": "Print the program of every node; no root.",
    "report": "Rebuild figures and report.html from raw data; no root.",
    "run": "Build, measure, write results, draw figures.",
}
"""Commands, each in a module of its own name, with what the overview says of it."""


class Commands(click.Group):
    """Imports a command's module when it is called: `check` need not wait for what `report` draws with."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Return a command, or None if there is none of that name."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"testbed.cli.{name}"), name)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the overview without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(context)])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="kubernetes-network-testbed", prog_name="testbed")
def testbed() -> None:
    """A laboratory for Kubernetes networking on one Linux machine."""


def main() -> None:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(_status())


def _status() -> int:
    try:
        testbed.main(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        return 2
    except (KeyboardInterrupt, click.Abort):
        return _explain(Interrupted())
    except TestbedError as error:
        return _explain(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit's flush complains again
        return PIPE_CLOSED
    return 0


def _explain(error: TestbedError) -> int:
    if isinstance(error, SpecError):
        for finding in error.findings:
            click.echo(str(finding), err=True)
        count = len(error.findings)
        click.echo(f"testbed: {count} error{'s' if count > 1 else ''} in the YAML", err=True)
    else:
        click.echo(f"testbed: {error}", err=True)
    return error.exit_code


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
