"""`raqib except`: an exception from an event, and what it would have covered."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from raqib.cli.event_option import Log
from raqib.cli.recipe_options import AsJson, ConfigFile, NoBuiltin, Recipes, settings_of
from raqib.cli.words import count
from raqib.config.config import Config
from raqib.errors import NotPermittedError, RaqibError, UsageError
from raqib.exceptions.doubts import doubts
from raqib.exceptions.draft import PLACEHOLDER, Coverage, as_yaml, coverage, draft
from raqib.exceptions.load import load_text
from raqib.exceptions.rule import ExceptionRule, is_protected
from raqib.host.procfs import host_mount_namespace
from raqib.library.library import Library
from raqib.library.reading import unsafe_owner
from raqib.matcher.facts import Facts
from raqib.model.clock import rfc3339
from raqib.model.event import Event
from raqib.model.recipe import RecipeInfo
from raqib.offline.event_log import events_of, find_detection, logs_of
from raqib.offline.facts import facts_of
from raqib.offline.printed_process import observation_of
from raqib.printers.escape import visible
from raqib.recipes.diagnostic import nearest

_DAY_S = 86400
_FACTS = ("container", "unit", "uid", "exe", "parent_exe", "path", "remote")


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command("except")(except_)


def except_(
    uuid: Annotated[str, typer.Argument(help="Of an event in the event log: whole, its beginning, or its last group.")],
    reason: Annotated[str | None, typer.Option(help="Why this is normal here.")] = None,
    until: Annotated[str | None, typer.Option(help="When it ends: 2027-01-31, or 2027-01-31T18:00:00Z.")] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="FACT", help=f"Leave an item out: {', '.join(_FACTS)}; repeatable."),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Put it into the directory of exceptions.")] = False,
    log: Log = None,
    recipes: Recipes = None,
    no_builtin: NoBuiltin = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Draft an exception from an event, and say what of the last day it would have covered.

    The draft is YAML on standard output; what is said about it goes to standard error.
    """
    for fact in without or ():
        if fact not in _FACTS:
            raise UsageError(f"--without: expected one of {', '.join(_FACTS)}, found {fact!r}{nearest(fact, _FACTS)}")
    if write and not (reason or "").strip():
        raise UsageError("--write: expected --reason TEXT beside it: why this is normal here")
    settings = settings_of(config, recipes, no_builtin, None, None)
    logs = [log] if log is not None else logs_of(settings.printers.varlog_path, settings.printers.varlog_keep)
    event = _event(uuid, logs, settings, named=log is not None)
    recipe = _recipe(settings, event)
    rule = draft(
        recipe.name,
        facts_of(observation_of(event)),
        without=without or (),
        reason=reason or PLACEHOLDER,
        until=until or "",
    )
    text = as_yaml(rule)
    checked = load_text(text, "draft")
    if checked.failed:
        raise UsageError("\n".join(str(diagnostic) for diagnostic in checked.diagnostics))
    rule = checked.rules[0]
    mnt_ns = host_mount_namespace()
    since = rfc3339(time.time_ns() - _DAY_S * 10**9)
    found = coverage(rule, recipe, _events(logs, recipe.name, since), mnt_ns)
    written = _write(settings.exceptions.directory, recipe.name, text) if write else None
    if as_json:
        answer = {"id": rule.id, "yaml": text, "last_day": found, "written": written}
        print(msgspec.json.encode(answer).decode())
        return
    if written is None:
        print(text, end="")
    _tell(rule, found, mnt_ns)
    if written is not None:
        print(f"written to {written}; a running agent has it in force within a second (raqib exceptions)")


def _event(uuid: str, logs: Sequence[Path], settings: Config, *, named: bool) -> Event:
    if not any(path.exists() for path in logs):
        raise RaqibError(_no_log(logs[-1], settings, named=named))
    found = find_detection(logs, uuid)
    if found is None:
        raise RaqibError(f"expected an event {uuid!a} in {logs[-1]}, found none; --log names another file with events")
    event = found.event
    if event.event_type == "agent":
        raise UsageError("expected an event of a recipe, found one of raqib's own: no exception covers those")
    if event.process is None or (event.file is None and event.flow is None):
        raise UsageError(f"expected an event of a recipe, found one of type {event.event_type}")
    return event


def _no_log(path: Path, settings: Config, *, named: bool) -> str:
    if named:
        return f"--log: expected a file with events, found none at {path}"
    if "varlog" in settings.printers.enabled:
        return f"expected the event log, found none at {path}: has the agent run since it was switched on?"
    printers = ", ".join((*settings.printers.enabled, "varlog"))
    return (
        "expected an event log, found none: it is not switched on; write "
        f"`printers: {{enabled: [{printers}]}}` into the configuration, or start "
        "`raqib run --printer stdout --printer varlog`; --log names another file with events, as of `raqib run --raw`"
    )


def _recipe(settings: Config, event: Event) -> RecipeInfo:
    """Return the recipe of an event, as far as the event tells if it is not loaded any more."""
    name = event.metadata.name
    loaded = Library(settings.recipes).load().recipes
    info = next((recipe.info for recipe in loaded if recipe.name == name), None)
    if info is None:
        info = RecipeInfo(kind=event.metadata.kind, name=name, mechanism="", importance="none")
    if is_protected(info):
        raise UsageError(f"{name}: no exception covers it: it watches over raqib itself")
    return info


def _events(logs: Sequence[Path], recipe: str, since: str) -> Iterator[tuple[Facts, int]]:
    for event in events_of(logs, recipe, since):
        if event.process is not None and (event.file is not None or event.flow is not None):
            times = event.count if event.event_type == "repeated" and isinstance(event.count, int) else 1
            yield facts_of(observation_of(event)), times


def _tell(rule: ExceptionRule, found: Coverage, mnt_ns: int) -> None:
    tell = "of the last day, it would have covered {} of {}"
    lines = [tell.format(found.covered, count(found.of, "event") + " of this recipe")]
    lines += [
        f"  without {what}: {number} (--without {what})"
        for what, number in found.without.items()
        if number > found.covered
    ]
    lines += [f"warning: {doubt.message}" for doubt in doubts([rule])]
    if not mnt_ns:
        lines.append("note: without root it cannot be told which paths are the host's: the numbers may be too low")
    if rule.reason == PLACEHOLDER:
        lines.append("write the reason before you keep it: --reason TEXT; --write puts it in force")
    for line in lines:
        print(visible(line, 2000), file=sys.stderr)


def _write(directory: Path, recipe: str, text: str) -> str:
    """Add an exception to the file of its recipe; return the file. What is there already has to be in order."""
    name = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "_" for letter in recipe)
    path = directory / f"{name}.yaml"
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        for place in (directory, path):
            if place.exists() and (problem := unsafe_owner(place)):
                raise RaqibError(f"{place}: {problem}")
        before = path.read_text() if path.exists() else ""
        together = before + ("" if before.endswith("\n") or not before else "\n") + text
        checked = load_text(together, str(path))
        if checked.failed:
            raise RaqibError("\n".join(str(diagnostic) for diagnostic in checked.diagnostics))
        fresh = path.with_suffix(".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with open(fd, "w") as file:
            file.write(together)
        fresh.replace(path)
    except PermissionError as error:
        raise NotPermittedError(f"{path}: expected root: {error.strerror}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RaqibError(f"{path}: expected a file that can be written: {error}") from error
    return str(path)
