"""The command line."""

from __future__ import annotations

from typing import Annotated

import typer

from raqib import __version__

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Runtime security for Linux.")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"raqib {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Runtime security for Linux."""


def main() -> None:
    """Run the command line; the entry point of `raqib`."""
    app()
