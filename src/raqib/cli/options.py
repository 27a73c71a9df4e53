"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from raqib.control.socket import CommandResult, NoAgentError, ask
from raqib.errors import NotPermittedError, RaqibError
from raqib.model.quantity import parse_duration

if TYPE_CHECKING:
    from raqib.control.operator import Operator

DataDir = Annotated[
    Path | None,
    # Whether it can be read is found out by reading: what only root may do has an exit status of its own.
    typer.Option("--data-dir", readable=False, help="Default: that of the configuration, else /var/lib/raqib."),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Default: /etc/raqib/config.yaml, if there is one.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text for people.")]

DURATION_METAVAR = "<duration>"


def duration(text: str) -> float:
    """Return seconds of a duration that somebody wrote: 90, 90s, 1h30m.

    Raises typer.BadParameter if it is none, or is no time at all.
    """
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if not seconds:
        raise typer.BadParameter(f"expected a duration above zero, found {text!a}")
    return seconds


def data_dir_of(data_dir: Path | None, config: Path | None) -> Path:
    """Return the data directory that is meant."""
    if data_dir is not None:
        return data_dir
    # Only those who have to read it wait for what reads it.
    from raqib.config.config import load_config

    return load_config(config).data_dir


def act(
    data_dir: Path, command: str, arguments: dict[str, Any], offline: Callable[[Operator], CommandResult]
) -> CommandResult:
    """Have the agent do something, or do it on its data directory if none runs there.

    Raises RaqibError.
    """
    try:
        return msgspec.convert(ask(data_dir, command, arguments), CommandResult)
    except NoAgentError:
        pass
    from raqib.control.operator import operating_on

    try:
        with operating_on(data_dir) as operator:
            return offline(operator)
    except PermissionError as error:
        raise NotPermittedError(f"{data_dir}: expected root: {error.strerror}") from error
    except OSError as error:
        raise RaqibError(f"{data_dir}: {error}") from error
