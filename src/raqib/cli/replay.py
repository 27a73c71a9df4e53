"""`raqib replay`: what recipes and reactions would have made of a recording."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from raqib.cli.recipe_options import AsJson, ConfigFile, Disable, Enable, NoBuiltin, Recipes, settings_of
from raqib.cli.words import count
from raqib.library.library import Library
from raqib.model.detection import Detection
from raqib.model.execution import LogLine
from raqib.offline.dry_run import Reacted
from raqib.offline.recording import read_recording
from raqib.offline.replay import Replay
from raqib.printers.escape import json_line, visible
from raqib.printers.pretty import Pretty
from raqib.printers.told import ActionTold


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command()(replay)


def replay(
    file: Annotated[Path, typer.Argument(help="What raqib record wrote.")],
    real_time: Annotated[bool, typer.Option("--real-time", help="With the pauses that there were.")] = False,
    recipes: Recipes = None,
    no_builtin: NoBuiltin = False,
    enable: Enable = None,
    disable: Disable = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Run recipes and reactions over a recording, dry, and print what would have been detected and done.

    The exit status is 1 if a recipe is broken; the others are run all the same.
    """
    settings = settings_of(config, recipes, no_builtin, enable, disable)
    loaded = Library(settings.recipes).load()
    for diagnostic in loaded.errors:
        print(f"raqib: {diagnostic.severity}: {diagnostic}", file=sys.stderr)
    show = _Show(as_json=as_json)
    run = Replay(settings, loaded.recipes, on_detection=show.detection, on_log=show.log)
    summary = asyncio.run(run.run(read_recording(file, _warn), real_time=real_time))
    if as_json:
        print(msgspec.json.encode({"summary": summary}).decode())
    else:
        counted = f"{count(summary.observations, 'observation')}, {count(summary.detections, 'detection')}"
        print(f"{counted}, {count(summary.calls, 'helper call')}, none of them done")
        for name, number in summary.shadowed.items():
            print(f"shadow: {visible(name)} would have been seen {number} times")
    raise typer.Exit(1 if loaded.errors else 0)


def _warn(message: str) -> None:
    print(f"raqib: warning: {visible(message)}", file=sys.stderr)


class _Show:
    """Prints each detection when its reactions have ended."""

    def __init__(self, *, as_json: bool) -> None:
        self._pretty = None if as_json else Pretty.for_file(sys.stdout)
        self._lines: list[LogLine] = []

    def log(self, line: LogLine) -> None:
        self._lines.append(line)

    def detection(self, detection: Detection, reacted: Sequence[Reacted]) -> None:
        lines, self._lines = self._lines, []
        if self._pretty is None:
            answer = {
                "event": msgspec.Raw(detection.data_json),
                "reactions": reacted,
                "log": [{"level": line.level, "text": line.text, "reaction": line.reaction} for line in lines],
            }
            print(json_line(msgspec.json.encode(answer)).decode(), flush=True)
            return
        print(self._pretty.render(detection.event), end="")
        for line in lines:
            print(self._pretty.detail("log", f"{line.level}: {line.text}"), end="")
        for reaction in reacted:
            print(
                self._pretty.reaction(reaction.outcome, reaction.error, [_told(call) for call in reaction.calls]),
                end="",
            )
        sys.stdout.flush()


def _told(call: Mapping[str, Any]) -> ActionTold:
    return ActionTold(call["decision"], call["name"], call["target"], call["reason"], call["value"])
