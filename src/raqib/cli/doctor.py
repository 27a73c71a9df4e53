"""`raqib doctor`: what this kernel and these privileges allow, and what raqib's set-up is like."""

from __future__ import annotations

import textwrap

import msgspec
import typer

from raqib.cli.options import AsJson, ConfigFile, DataDir
from raqib.cli.words import count, printable
from raqib.control.doctor import check_setup
from raqib.kernel.probes import ProbeResult, probe_all

_WORDS = {"yes": "yes", "no": "no", "unknown": "could not tell"}
_MARGIN = 16
_WIDTH = 80


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command("doctor")(doctor)


def doctor(as_json: AsJson = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Say what this kernel and these privileges allow, and how raqib is set up, each missing thing with its remedy.

    The exit status is 3 if something is missing without which the agent does not run.
    """
    answers = [*probe_all(), *check_setup(config, data_dir)]
    missing = any(answer.needed and answer.verdict == "no" for answer in answers)
    if as_json:
        typer.echo(msgspec.json.encode({"works": not missing, "features": answers}).decode())
    else:
        for answer in answers:
            for line in describe(answer):
                typer.echo(line)
        unknown = sum(answer.verdict == "unknown" for answer in answers)
        more = f"; {count(unknown, 'thing')} could not be looked at" if unknown else ""
        typer.echo(f"the agent {'does not run' if missing else 'runs'} here{more}")
    raise typer.Exit(3 if missing else 0)


def describe(answer: ProbeResult) -> list[str]:
    """Return an answer as lines of 80 columns, the detail below the feature."""
    indent = " " * _MARGIN
    lines = [f"{_WORDS[answer.verdict]:<{_MARGIN}}{printable(answer.feature)}"]
    return lines + textwrap.wrap(
        printable(answer.detail),
        _WIDTH,
        initial_indent=f"{indent}  ",
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
