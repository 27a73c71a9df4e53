"""`raqib run`: the agent in the foreground."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, get_args

import msgspec
import typer

from raqib.agent.agent import Agent
from raqib.agent.privileges import require_root
from raqib.agent.stages import Stages
from raqib.agent.start import examine
from raqib.cli.options import DURATION_METAVAR
from raqib.cli.options import duration as seconds_of
from raqib.cli.words import count
from raqib.config.config import Config, PrinterName, read_config
from raqib.control.log import configure, tell
from raqib.errors import UsageError
from raqib.library.library import Library
from raqib.recipes.diagnostic import Loaded
from raqib.recipes.source import is_missing


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command()(run)


def run(
    config: Annotated[Path | None, typer.Option(help="Default: /etc/raqib/config.yaml, if there is one.")] = None,
    recipes: Annotated[list[Path] | None, typer.Option(help="A directory or file of recipes; repeatable.")] = None,
    no_builtin: Annotated[bool, typer.Option("--no-builtin", help="Without the built-in recipes.")] = False,
    enable: Annotated[
        list[str] | None, typer.Option(help="Enable recipes: a pattern of names, or kind:…, importance:…")
    ] = None,
    disable: Annotated[list[str] | None, typer.Option(help="Disable recipes, the same way, and stronger.")] = None,
    printer: Annotated[list[str] | None, typer.Option(help="stdout, varlog or void; repeatable.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="JSON lines on stdout even if it is a terminal.")] = False,
    each: Annotated[
        bool, typer.Option("--each", help="Print every detection; else what is alike is told together.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Reactions run, their actions are only ledgered.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Data store and ledger.")] = None,
    log_file: Annotated[Path | None, typer.Option(help="Where raqib's own log goes; default: standard error.")] = None,
    duration: Annotated[
        float | None, typer.Option(parser=seconds_of, metavar=DURATION_METAVAR, help="Stop after that: 90s, 1h30m.")
    ] = None,
    cgroup: Annotated[
        Path | None, typer.Option(help="Whose processes' network is seen; default: the root of cgroup v2.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="A network policy, in place of the configuration's.")] = None,
    allow_unsafe_owner: Annotated[
        bool,
        typer.Option("--allow-unsafe-owner", help="Load recipes that others than root can write: to try them out."),
    ] = False,
) -> None:
    """Run the agent in the foreground, until SIGINT or SIGTERM."""
    require_root("run")
    for path in recipes or ():
        if is_missing(path):
            raise UsageError(f"--recipes: expected a directory or file of recipes, found nothing at {path}")
    file = read_config(config)
    settings = file.expect()
    chosen = settings.recipes
    options = {
        **{f"recipes.enable[{len(chosen.enable) + index}]": "--enable" for index in range(len(enable or ()))},
        **{f"recipes.disable[{len(chosen.disable) + index}]": "--disable" for index in range(len(disable or ()))},
        **{
            setting: option
            for setting, option, value in (
                ("data_dir", "--data-dir", data_dir),
                ("log_file", "--log-file", log_file),
                ("network.cgroup", "--cgroup", cgroup),
                ("network.policy", "--policy", policy),
            )
            if value is not None
        },
    }
    chosen = msgspec.structs.replace(
        chosen,
        directories=(*chosen.directories, *(recipes or ())),
        builtin=chosen.builtin and not no_builtin,
        enable=(*chosen.enable, *(enable or ())),
        disable=(*chosen.disable, *(disable or ())),
        allow_unsafe_owner=chosen.allow_unsafe_owner or allow_unsafe_owner,
    )
    printers = msgspec.structs.replace(
        settings.printers, raw=settings.printers.raw or raw, each=settings.printers.each or each
    )
    if printer:
        printers = msgspec.structs.replace(printers, enabled=_printer_names(printer))
    settings = msgspec.structs.replace(
        settings,
        recipes=chosen,
        printers=printers,
        reactions=msgspec.structs.replace(settings.reactions, dry_run=settings.reactions.dry_run or dry_run),
        data_dir=data_dir or settings.data_dir,
        log_file=log_file or settings.log_file,
        network=msgspec.structs.replace(
            settings.network, cgroup=cgroup or settings.network.cgroup, policy=policy or settings.network.policy
        ),
    )
    start = examine(settings, file, options)
    for diagnostic in start.diagnostics:
        if diagnostic not in start.refused:
            print(f"raqib: {diagnostic.severity}: {diagnostic}", file=sys.stderr)
    start.expect()
    configure(settings.log_file)
    asyncio.run(_run(settings, config, start.library, start.loaded, duration))


async def _run(
    settings: Config, config_file: Path | None, library: Library, loaded: Loaded, duration: float | None
) -> None:
    running = sum(1 for recipe in loaded.recipes if recipe.enabled and recipe.info.mode != "off")

    def ready(stages: Stages) -> None:
        disarmed = "" if stages.armed else "; disarmed: actions are only written down (raqib arm)"
        tell(f"ready: {count(running, 'recipe')}{disarmed}")

    agent = Agent(settings, loaded.recipes, library=library, config_file=config_file, on_ready=ready)
    await agent.run(duration)


def _printer_names(names: list[str]) -> tuple[str, ...]:
    known = get_args(PrinterName)
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"expected one of {', '.join(known)}, found {name!r}", param_hint="--printer")
    return tuple(names)
