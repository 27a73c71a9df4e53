"""`raqib ledger` and `raqib undo`: the audit trail."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import watchfiles

from raqib.cli.options import AsJson, ConfigFile, DataDir, act, data_dir_of
from raqib.control.operator import LEDGER_NAME
from raqib.control.operator import undoable as undoable_in
from raqib.errors import NotPermittedError, RaqibError, UsageError
from raqib.ledger.chain import Entry, Head, parse_head
from raqib.ledger.reading import Filter, LedgerReader
from raqib.ledger.verification import Verification
from raqib.ledger.verification import verify as verify_ledger
from raqib.printers.escape import json_line, visible

app = typer.Typer(help="Show the audit trail, or verify it.", invoke_without_command=True)

_AGO = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="ledger")
    root.command()(undo)


@app.callback()
def ledger(
    context: typer.Context,
    recipe: Annotated[str | None, typer.Option(help="Only of recipes of that name; a shell pattern.")] = None,
    action: Annotated[str | None, typer.Option(help="Only that action, as KillCurrent; a shell pattern.")] = None,
    decision: Annotated[str | None, typer.Option(help="Only done, refused, would or error.")] = None,
    event: Annotated[str | None, typer.Option(help="Only of the event of that UUID.")] = None,
    since: Annotated[str | None, typer.Option(help="Only later ones: 2026-01-31T12:00:00Z or 10m, 2h, 7d ago.")] = None,
    undoable: Annotated[bool, typer.Option("--undoable", help="Only what `raqib undo` can still take back.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Show the audit trail, oldest first."""
    if context.invoked_subcommand is not None:
        return
    if decision not in (None, "done", "refused", "would", "error"):
        raise UsageError(f"--decision: expected done, refused, would or error, found {decision!r}")
    path = data_dir_of(data_dir, config) / LEDGER_NAME
    if undoable and follow:
        raise UsageError("--undoable: expected no --follow beside it")
    try:
        numbers = frozenset(undoable_in(path)) if undoable else None
        wanted = Filter(
            recipe=recipe, action=action, decision=decision, uuid=event, since=_since(since), numbers=numbers
        )
        _show(path, wanted, follow=follow, as_json=as_json)
    except (KeyboardInterrupt, BrokenPipeError):
        raise typer.Exit(0) from None
    except OSError as error:
        raise _unreadable(path, error) from error


@app.command()
def verify(
    against: Annotated[
        str | None, typer.Option(help="SEQ:HASH from the log or the journal: shows that the end was cut off.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Follow the chain through all files and say which line was changed, removed, inserted or moved."""
    path = data_dir_of(data_dir, config) / LEDGER_NAME
    try:
        result = verify_ledger(path, _head(against))
    except OSError as error:
        raise _unreadable(path, error) from error
    if as_json:
        typer.echo(msgspec.json.encode({"intact": result.intact, **msgspec.to_builtins(result)}).decode())
    else:
        _tell(result)
    raise typer.Exit(0 if result.intact else 1)


def undo(
    seq: Annotated[int, typer.Argument(help="The number of the line in the ledger.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Take back what a line of the ledger says was done, where that can be; says what can."""
    answer = act(data_dir_of(data_dir, config), "undo", {"seq": seq}, lambda operator: operator.undo(seq))
    if as_json:
        typer.echo(msgspec.json.encode(answer).decode())
    elif answer.done:
        typer.echo(f"number {seq} is undone")
    if not answer.done:
        raise RaqibError(answer.reason)


def describe(entry: Entry) -> str:
    """Return an entry as one line for people; nothing in it steers a terminal."""
    where = f" {entry.recipe}" if entry.recipe else ""
    where += f"[{entry.reaction}]" if entry.reaction is not None else ""
    arguments = msgspec.json.encode(entry.arguments).decode() if entry.arguments else ""
    result = "" if entry.result is None else f" = {msgspec.json.encode(entry.result).decode()}"
    reason = f" ({entry.reason})" if entry.reason else ""
    text = f"{entry.seq:>6} {entry.time} {entry.decision:<7}{where} {entry.action}{arguments}{result}{reason}"
    event = f" event {entry.uuid}" if entry.uuid else ""
    return visible(f"{text}{event}, {entry.duration_us} µs", 4000)


def _show(path: Path, wanted: Filter, *, follow: bool, as_json: bool) -> None:
    reader = LedgerReader(path)
    try:
        # Watched before it is read, so that nothing falls between the two.
        changes = watchfiles.watch(path.parent, debounce=50, step=10, recursive=False, yield_on_timeout=True)
        while True:
            for line, entry in reader.read():
                if wanted.accepts(entry):
                    typer.echo(json_line(line) if as_json else describe(entry))
            if not follow:
                if not path.exists():
                    raise FileNotFoundError(2, "there is no ledger")
                return
            next(changes)
    finally:
        reader.close()


def _tell(result: Verification) -> None:
    for fault in result.breaks:
        typer.echo(visible(str(fault), 2000))
    lines = f"{result.entries} lines in {result.files} file{'' if result.files == 1 else 's'}"
    state = "intact" if result.intact else f"broken in {len(result.breaks)} places"
    typer.echo(f"{lines}: {state}; head {result.head}")


def _head(text: str | None) -> Head | None:
    try:
        return None if text is None else parse_head(text)
    except ValueError as error:
        raise UsageError(f"--against: {error}") from error


def _since(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        if found := _AGO.fullmatch(text):
            moment = datetime.now(UTC) - timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
        else:
            moment = datetime.fromisoformat(text)
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--since: expected a time as 2026-01-31T12:00:00Z or 10m, 2h, 7d, found {text!r}") from error
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}"


def _unreadable(path: Path, error: OSError) -> RaqibError:
    if isinstance(error, PermissionError):
        return NotPermittedError(f"{path}: expected root: {error.strerror}")
    return RaqibError(f"{path}: expected a ledger: {error.strerror}; give the right directory with --data-dir")
