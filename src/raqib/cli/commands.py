"""The commands of `raqib`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, get_args

import msgspec
import typer

from raqib import __version__
from raqib.agent import Agent, Config, load_config
from raqib.agent.config import PrinterName
from raqib.agent.library import Library
from raqib.agent.log import configure
from raqib.agent.privileges import require_root
from raqib.cli import blocks as blocks_commands
from raqib.cli import check as check_command
from raqib.cli import control as control_commands
from raqib.cli import demo as demo_command
from raqib.cli import doctor as doctor_command
from raqib.cli import explain as explain_command
from raqib.cli import ledger as ledger_commands
from raqib.cli import reaction as reaction_commands
from raqib.cli import recipes as recipes_commands
from raqib.cli import record as record_command
from raqib.cli import replay as replay_command
from raqib.cli import store as store_commands
from raqib.cli import test as test_command
from raqib.recipes.diagnostic import Loaded

app = typer.Typer(
    help="Runtime security for Linux: eBPF sees, recipes decide, reactions act.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"raqib {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and exit.")
    ] = False,
) -> None:
    """Runtime security for Linux: eBPF sees, recipes decide, reactions act."""


@app.command()
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Reactions run, their actions are only ledgered.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Data store and ledger.")] = None,
    log_file: Annotated[Path | None, typer.Option(help="Where raqib's own log goes; default: standard error.")] = None,
    duration: Annotated[float | None, typer.Option(help="Stop after so many seconds.")] = None,
    cgroup: Annotated[
        Path | None, typer.Option(help="Whose processes' network is seen; default: the root of cgroup v2.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="A network policy, in place of the configuration's.")] = None,
    allow_unsafe_owner: Annotated[
        bool,
        typer.Option("--allow-unsafe-owner", help="Load recipes that others than root can write: for trials only."),
    ] = False,
) -> None:
    """Run the agent in the foreground, until SIGINT or SIGTERM."""
    require_root("raqib run")
    settings = load_config(config)
    chosen = settings.recipes
    chosen = msgspec.structs.replace(
        chosen,
        directories=(*chosen.directories, *(recipes or ())),
        builtin=chosen.builtin and not no_builtin,
        enable=(*chosen.enable, *(enable or ())),
        disable=(*chosen.disable, *(disable or ())),
        allow_unsafe_owner=chosen.allow_unsafe_owner or allow_unsafe_owner,
    )
    printers = msgspec.structs.replace(settings.printers, raw=settings.printers.raw or raw)
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
    configure(settings.log_file)
    library = Library(chosen, shell=settings.reactions.shell)
    loaded = library.load()
    for one in loaded.diagnostics:
        print(f"raqib: {one.severity}: {one}", file=sys.stderr)
    asyncio.run(_run(settings, config, library, loaded, duration))


async def _run(
    settings: Config, config_file: Path | None, library: Library, loaded: Loaded, duration: float | None
) -> None:
    running = sum(1 for recipe in loaded.recipes if recipe.enabled and recipe.info.mode != "off")

    def ready() -> None:
        disarmed = "" if agent.armed else "; disarmed: actions are only written down (raqib arm)"
        print(f"ready: {running} recipes{disarmed}", file=sys.stderr, flush=True)

    agent = Agent(settings, loaded.recipes, library=library, config_file=config_file, on_ready=ready)
    await agent.run(duration)


def _printer_names(names: list[str]) -> tuple[str, ...]:
    known = get_args(PrinterName)
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"expected one of {', '.join(known)}, found {name!r}", param_hint="--printer")
    return tuple(names)


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(help="Recipe files, directories of them, configuration files.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Validate recipes and configuration; exit status 1 if anything is wrong."""
    raise typer.Exit(check_command.check(paths, as_json=json))


@app.command()
def demo() -> None:
    """Show the whole story: a program that looks like a miner is detected and killed by a reaction."""
    require_root("raqib demo")
    raise typer.Exit(demo_command.demo())


@app.command()
def doctor(json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Say what this kernel and these privileges allow, each missing thing with its remedy."""
    raise typer.Exit(doctor_command.doctor(as_json=json))


for _module in (
    blocks_commands,
    control_commands,
    explain_command,
    ledger_commands,
    reaction_commands,
    recipes_commands,
    record_command,
    replay_command,
    store_commands,
    test_command,
):
    _module.register(app)
