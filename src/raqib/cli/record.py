"""`raqib record`: writes what the sensors deliver, for `raqib replay`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from raqib.agent.privileges import require_root
from raqib.agent.record import Recorder
from raqib.cli.options import DURATION_METAVAR
from raqib.cli.options import duration as seconds_of
from raqib.cli.recipe_options import ConfigFile, Disable, Enable, NoBuiltin, Recipes, settings_of
from raqib.cli.words import count
from raqib.config.config import Config
from raqib.control.log import configure, tell
from raqib.library.library import Library
from raqib.offline.recording import RecordingFile
from raqib.recipes.compile import CompiledSet, compile_set


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command()(record)


def record(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; one that is there is replaced.")],
    everything: Annotated[
        bool, typer.Option("--everything", help="Not only what the enabled recipes may need: a lot.")
    ] = False,
    duration: Annotated[
        float | None, typer.Option(parser=seconds_of, metavar=DURATION_METAVAR, help="Stop after that: 90s, 1h30m.")
    ] = None,
    cgroup: Annotated[
        Path | None, typer.Option(help="Whose processes' network is seen; default: the root of cgroup v2.")
    ] = None,
    recipes: Recipes = None,
    no_builtin: NoBuiltin = False,
    enable: Enable = None,
    disable: Disable = None,
    config: ConfigFile = None,
) -> None:
    """Write what the sensors deliver, as JSON lines, until it is told to end. Arguments may hold secrets.

    The exit status is 1 if a recipe is broken: what that one needs may be missing.
    """
    require_root("record")
    settings = settings_of(config, recipes, no_builtin, enable, disable)
    network = replace(settings.network, cgroup=cgroup or settings.network.cgroup)
    settings = replace(settings, network=network)
    configure(settings.log_file)
    loaded = Library(settings.recipes).load()
    for diagnostic in loaded.errors:
        print(f"raqib: {diagnostic.severity}: {diagnostic}", file=sys.stderr)
    asyncio.run(_record(output, compile_set(loaded.recipes), settings, duration, everything=everything))
    raise typer.Exit(1 if loaded.errors else 0)


async def _record(
    output: Path, compiled: CompiledSet, settings: Config, duration_s: float | None, *, everything: bool
) -> None:
    def ready() -> None:
        what = "everything" if everything else f"what {count(len(compiled.recipes), 'recipe')} may need"
        tell(f"ready: recording {what}")

    with contextlib.closing(RecordingFile(output)) as file:
        counts = await Recorder(file.write, compiled, settings, everything=everything).run(duration_s, ready)
    lost = f", {counts.lost} lost in the kernel" if counts.lost else ""
    tell(f"{count(counts.observations, 'observation')} written to {output}{lost}")
