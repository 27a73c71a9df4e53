"""`raqib doctor`: what this kernel and these privileges allow."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from raqib.kernel.probes import Answer, probe_all

_MARKS = {"yes": "[green]yes[/]", "no": "[red]no[/]", "unknown": "[yellow]could not tell[/]"}


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command("doctor")(command)


def command(json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Say what this kernel and these privileges allow, each missing thing with its remedy."""
    raise typer.Exit(doctor(as_json=json))


def doctor(*, as_json: bool) -> int:
    """Print the answers; return 3 if something is missing without which the agent does not run, else 0."""
    answers = probe_all()
    missing = any(answer.needed and answer.verdict == "no" for answer in answers)
    if as_json:
        print(msgspec.json.encode({"works": not missing, "features": answers}).decode())
    else:
        _print(answers)
        print("the agent does not run here" if missing else "the agent runs here")
    return 3 if missing else 0


def _print(answers: list[Answer]) -> None:
    table = Table(box=None, header_style="bold")
    for title in ("feature", "here", "why, and what to do"):
        table.add_column(title)
    for answer in answers:
        table.add_row(answer.feature, _MARKS[answer.verdict], answer.detail)
    Console(soft_wrap=True).print(table)
