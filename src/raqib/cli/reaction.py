"""`raqib reaction run`: how reactions are written. One dry run, with everything that can be seen of it."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from raqib.cli.event_option import EventOption, Log, note_cut, read_event
from raqib.cli.options import AsJson, ConfigFile
from raqib.config.config import load_config
from raqib.errors import RaqibError, UsageError
from raqib.events.build import detect
from raqib.library.reading import load_path
from raqib.model.detection import Detection
from raqib.model.execution import HelperCall, LogLine
from raqib.model.flow import FlowObservation
from raqib.model.recipe import Reaction, RecipeInfo
from raqib.offline.dry_run import DryRun
from raqib.offline.event_log import logs_of
from raqib.offline.one_reaction import TriedReaction, detection_of, try_reactions
from raqib.offline.printed import Document, Printed
from raqib.offline.sample_event import plain_recipe, sample_of
from raqib.printers.escape import visible
from raqib.reactions import check_reactions
from raqib.recipes.spec import RecipeSpec

app = typer.Typer(help="Try a reaction.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="reaction")


@app.callback()
def group() -> None:
    """Try a reaction."""


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="A .js file, or a file of recipes together with --name.")],
    event: EventOption,
    name: Annotated[str | None, typer.Option(help="The recipe, if the file has recipes.")] = None,
    index: Annotated[int, typer.Option(min=0, help="Which of the recipe's reactions.")] = 0,
    log: Log = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Run one reaction against one event, dry: its log, its helper calls, its time and memory.

    Exit status 0 if it ended well, else 1. The processes that the event names count as alive until it kills them.
    """
    settings = load_config(config)
    printers = settings.printers
    logs = [log] if log is not None else logs_of(printers.varlog_path, printers.varlog_keep)
    detection = _detection(file, name, index, read_event(event, logs), logs[-1])
    (problem,) = check_reactions(detection.recipe.reactions)
    if problem is not None:
        raise RaqibError(f"{file}: {problem}")
    show = _Show(as_json=as_json)
    (tried,) = asyncio.run(try_reactions(detection, partial(DryRun, settings), show.log, show.call))
    show.end(tried)
    raise typer.Exit(0 if tried.finished.outcome == "ok" else 1)


def _detection(file: Path, name: str | None, index: int, document: Document, log: Path) -> Detection:
    """Return a detection by a recipe with the one reaction that is meant."""
    printed = document.printed
    code = _code(file) if file.suffix == ".js" else None
    spec = None if code is not None else _spec(file, name, index)
    if printed is not None:
        note_cut(printed, log, _may_differ(printed))
        metadata = printed.event.metadata
        info = (
            spec.info
            if spec is not None
            else RecipeInfo(kind=metadata.kind, name=metadata.name, mechanism=metadata.format, importance="medium")
        )
        return detection_of(_with_reaction(info, index, code), printed)
    spec = spec or plain_recipe(document)
    seen, ancestors = sample_of(document, spec)
    accessed = [] if isinstance(seen, FlowObservation) else [(seen.path, seen.actions)]
    return detect(_with_reaction(spec.info, index, code), seen, ancestors, accessed, "")


def _with_reaction(info: RecipeInfo, index: int, code: str | None) -> RecipeInfo:
    reaction = info.reactions[index] if code is None else Reaction("js", code)
    return msgspec.structs.replace(info, mode="react", reactions=(reaction,))


def _may_differ(printed: Printed) -> list[str]:
    """Return what a reaction would find otherwise in the whole event."""
    fields = [gap.field.removesuffix(".*") for gap in printed.cut or ()]
    helpers = ["NetBlockIp()", "NetBlockDomain()"] if any("flow" in field for field in fields) else []
    return [*(f"data.{field}" for field in fields), *helpers]


def _code(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: expected a file of JavaScript: {error}") from error


def _spec(file: Path, name: str | None, index: int) -> RecipeSpec:
    """Return the recipe that is meant; it has the reaction that is."""
    loaded = load_path(file, allow_unsafe_owner=True)
    by_name = {recipe.name: recipe for recipe in loaded.recipes if recipe.info.reactions}
    if name is None and len(by_name) == 1:
        (name,) = by_name
    if name not in by_name:
        told = "".join(f"\n{diagnostic.severity}: {diagnostic}" for diagnostic in loaded.diagnostics)
        raise UsageError(
            f"{file}: expected --name with one of the recipes that have reactions ({', '.join(by_name) or 'none'}), "
            f"found {name!r}{told}"
        )
    spec = by_name[name]
    info = spec.info
    if index >= len(info.reactions):
        raise UsageError(f"--index: expected less than {len(info.reactions)}, the number of reactions, found {index}")
    if info.reactions[index].format != "js":
        raise UsageError(f"--index: expected a reaction in JavaScript, found {info.reactions[index].format}")
    return spec


class _Show:
    """Prints what happens as it happens; as JSON, all of it at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._happened: list[dict[str, Any]] = []

    def log(self, line: LogLine) -> None:
        self._happened.append({"log": line.level, "text": line.text})
        if not self._as_json:
            typer.echo(f"{line.level:<8} {visible(line.text, 4000)}")

    def call(self, call: HelperCall) -> None:
        record = call.record
        shown = {
            "call": record.action,
            "arguments": call.arguments,
            "decision": record.decision,
            "value": record.value,
            "reason": record.reason,
        }
        with contextlib.suppress(msgspec.DecodeError):
            shown["arguments"] = msgspec.json.decode(call.arguments)
        self._happened.append(shown)
        if not self._as_json:
            value = "its error value" if not record.succeeded else msgspec.json.encode(record.value).decode()
            reason = f" ({record.reason})" if record.reason else ""
            text = f"{record.action}({call.arguments[1:-1]}) → {value}{reason}"
            typer.echo(f"{record.decision:<8} {visible(text, 4000)}")

    def end(self, tried: TriedReaction) -> None:
        finished, memory = tried.finished, tried.memory
        if self._as_json:
            result = {
                "outcome": finished.outcome,
                "error": finished.error,
                "happened": self._happened,
                "duration_us": tried.duration_us,
                "memory": memory,
            }
            typer.echo(msgspec.json.encode(result).decode())
            return
        duration = "" if tried.duration_us is None else f" after {tried.duration_us / 1000:.2f} ms"
        typer.echo(
            f"ended    {finished.outcome}{duration}, worker's memory {_mib(memory.before)}, peak {_mib(memory.peak)}"
        )


def _mib(size: int | None) -> str:
    return "not known" if size is None else f"{size / (1 << 20):.1f} MiB"
