"""`raqib disarm` and `arm`: the switch of all actions."""

from __future__ import annotations

import msgspec
import typer

from raqib.cli.options import AsJson, ConfigFile, DataDir, act, data_dir_of
from raqib.errors import RaqibError


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.command()(disarm)
    root.command()(arm)


def disarm(as_json: AsJson = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Switch all actions off, at once and until `arm`: reactions go on, but nothing is done."""
    answer = act(data_dir_of(data_dir, config), "disarm", {}, lambda operator: operator.disarm())
    _tell(answer.done, answer.reason, "disarmed: reactions run dry", as_json=as_json, armed=False)


def arm(as_json: AsJson = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Switch actions on again."""
    answer = act(data_dir_of(data_dir, config), "arm", {}, lambda operator: operator.arm())
    _tell(answer.done, answer.reason, "armed: actions are done", as_json=as_json, armed=answer.done)


def _tell(done: bool, reason: str, text: str, *, as_json: bool, armed: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode({"armed": armed, "done": done, "reason": reason}).decode())
    elif done:
        typer.echo(f"{text} ({reason})" if reason else text)
    if not done:
        raise RaqibError(reason)
