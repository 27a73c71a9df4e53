"""`raqib blocks`: the network blocks in force, with or without an agent that runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from raqib.agent.privileges import require_root
from raqib.cli.options import DURATION_METAVAR, AsJson, ConfigFile, duration
from raqib.cli.words import columns, count
from raqib.config.config import load_config
from raqib.errors import UsageError
from raqib.model.clock import boottime_ns
from raqib.netpolicy.blocks import ADMINISTRATOR, Block, Blocks
from raqib.netpolicy.guards import Guards
from raqib.netpolicy.host import address_bytes, read_host
from raqib.netpolicy.pins import Pins
from raqib.netpolicy.sockets import Reaper
from raqib.netpolicy.tables import Tables
from raqib.printers.escape import visible

app = typer.Typer(help="List, add and remove network blocks.", invoke_without_command=True)

_REAP_S = 10.0

Target = Annotated[str, typer.Argument(help="An address, a network or a domain.")]
PinDir = Annotated[Path | None, typer.Option("--pin-dir", help="Default: network.pin_dir of the configuration.")]


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="blocks")


@app.callback()
def blocks(context: typer.Context, config: ConfigFile = None, pin_dir: PinDir = None, as_json: AsJson = False) -> None:
    """List the blocks in force."""
    if context.invoked_subcommand is None:
        list_(config, pin_dir, as_json)


@app.command("list")
def list_(config: ConfigFile = None, pin_dir: PinDir = None, as_json: AsJson = False) -> None:
    """List the blocks in force."""
    with _opened(config, pin_dir) as (opened, tables):
        found, off = opened.list(), tables.is_off
    if as_json:
        print(msgspec.json.encode([_summary(block) for block in found]).decode())
        return
    title = ("target", "owner", "ends", "renewed", "created", "reason")
    rows = [
        (block.target, block.owner, _when(block.end), _renewed(block), _when(block.created), block.reason)
        for block in found
    ]
    for line in columns(title, [list(map(visible, row)) for row in rows]):
        print(line)
    print(count(len(found), "block") + (", switched off" if off else ""))


@app.command()
def add(
    target: Target,
    seconds: Annotated[
        float | None,
        typer.Option("--for", parser=duration, metavar=DURATION_METAVAR, help="It ends after that: 10m, 1h30m."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    config: ConfigFile = None,
    pin_dir: PinDir = None,
    as_json: AsJson = False,
) -> None:
    """Block a network, or a domain with everything below it and the addresses that they resolve to."""
    until_ns = None if seconds is None else boottime_ns() + int(seconds * 1e9)
    with _opened(config, pin_dir) as (opened, _):
        block = opened.block if _is_network(target) else opened.block_domain
        new = block(target, owner=ADMINISTRATOR, reason=reason, until_ns=until_ns)
        now = opened.find(target)
    end = f"; it ends {_when(now.end)}" if now is not None and now.end else ""
    renewed = f", renewed {_renewed(now)}" if now is not None and now.renewals else ""
    _say(target, ("blocked" if new else "was blocked already") + end + renewed, new, as_json)
    if not _is_network(target):
        typer.echo("what it was resolved to before is blocked by the agent, within a second, if one runs", err=True)


@app.command()
def remove(target: Target, config: ConfigFile = None, pin_dir: PinDir = None, as_json: AsJson = False) -> None:
    """Take a block off; exit status 1 if just this was not blocked. Rules of the policy's file stay."""
    with _opened(config, pin_dir) as (opened, _):
        unblock = opened.unblock if _is_network(target) else opened.unblock_domain
        gone = unblock(target, by=ADMINISTRATOR)
    _say(target, "no longer blocked" if gone else "was not blocked", gone, as_json)
    raise typer.Exit(0 if gone else 1)


@app.command()
def off(config: ConfigFile = None, pin_dir: PinDir = None, as_json: AsJson = False) -> None:
    """Take the whole network policy off at once, blocks and rules, until an agent is started again."""
    pins = _pins(config, pin_dir)
    was = pins.exist
    pins.switch_off()
    _say("network policy", "off" if was else "was not in force", was, as_json)


def _say(target: str, words: str, done: bool, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode({"target": target, "changed": done}).decode())
    else:
        print(f"{visible(target)}: {words}")


def _when(moment: str | None) -> str:
    """Return a moment to the second: people plan by it."""
    return "" if moment is None else f"{moment[:19]}Z"


def _renewed(block: Block) -> str:
    return "" if not block.renewals else count(block.renewals, "time")


def _summary(block: Block) -> dict[str, Any]:
    return {
        "kind": block.kind,
        "target": block.target,
        "owner": block.owner,
        "reason": block.reason,
        "created": block.created,
        "end": block.end,
        "renewals": block.renewals,
    }


def _is_network(target: str) -> bool:
    return address_bytes(target.partition("/")[0]) is not None


def _pins(config: Path | None, pin_dir: Path | None) -> Pins:
    require_root("blocks")
    return Pins(pin_dir or load_config(config).network.pin_dir)


@contextlib.contextmanager
def _opened(config: Path | None, pin_dir: Path | None) -> Iterator[tuple[Blocks, Tables]]:
    """What is in force; connections that become forbidden have ended when this does."""
    pins = _pins(config, pin_dir)
    bpf = pins.open()
    try:
        tables = Tables(bpf, pins.directory)
        reaper = Reaper(bpf)
        reaper.start()
        asked: list[int] = []
        network = load_config(config).network
        try:
            guards = Guards(lambda: read_host(network.resolvers), network.protected_cidrs)
        except ValueError as error:
            raise UsageError(f"network.protected_cidrs: {error}") from error
        try:
            yield Blocks(tables, guards, lambda: asked.append(reaper.request())), tables
            if asked:
                reaper.wait(asked[-1], _REAP_S)
        finally:
            reaper.close()
    finally:
        bpf.close()
