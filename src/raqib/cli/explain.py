"""`raqib explain`: why an event matched and what was done, or why a recipe did not match."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from raqib.actions.target import describe_target
from raqib.cli.event_option import EventOption, Log, note_cut, read_event
from raqib.cli.recipe_options import AsJson, ConfigFile, NoBuiltin, Recipes, settings_of
from raqib.cli.words import stage_lines
from raqib.config.config import Config
from raqib.errors import RaqibError, UsageError
from raqib.exceptions.compiled import CompiledExceptions
from raqib.exceptions.counts import read_counts
from raqib.exceptions.directory import ExceptionsDirectory
from raqib.host.procfs import host_mount_namespace
from raqib.ledger.chain import Entry
from raqib.library.library import Library
from raqib.matcher.ancestry import KnownAncestry
from raqib.matcher.explain import explain as explain_stages
from raqib.matcher.finding import Finding
from raqib.model.event import Event
from raqib.model.excepted import Excepted
from raqib.model.uuids import is_named_by
from raqib.offline.event_log import AFTERWARDS, find_events, ledger_entries, logs_of
from raqib.offline.facts import facts_of
from raqib.offline.printed import Document, Printed
from raqib.offline.printed_process import observation_of
from raqib.offline.recording import Recorded
from raqib.offline.sample_event import sample_of
from raqib.printers.escape import visible
from raqib.printers.pretty import Pretty
from raqib.printers.told import ActionTold
from raqib.recipes.diagnostic import Loaded, nearest
from raqib.recipes.spec import RecipeSpec


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command()(explain)


def explain(
    uuid: Annotated[
        str | None,
        typer.Argument(help="Of an event in the event log: whole, its first 8 characters or more, or its last group."),
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="With --event: the recipe's name.")] = None,
    event: EventOption | None = None,
    log: Log = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the ledger is.")] = None,
    recipes: Recipes = None,
    no_builtin: NoBuiltin = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Say why an event matched, stage by stage, and what was done; or why a recipe does not match an event."""
    settings = settings_of(config, recipes, no_builtin, None, None)
    if uuid is not None and recipe is None and event is None:
        _explain_uuid(settings, uuid, log, data_dir or settings.data_dir, as_json=as_json)
    elif uuid is None and recipe is not None and event is not None:
        chosen = _recipe(Library(settings.recipes).load(), recipe)
        files = _files(settings, log)
        document = read_event(event, files)
        _explain_event(settings, chosen, document, files[-1], as_json=as_json)
    else:
        raise UsageError("expected either a UUID, or --recipe NAME with --event FILE")


def _files(settings: Config, log: Path | None) -> list[Path]:
    printers = settings.printers
    return [log] if log is not None else logs_of(printers.varlog_path, printers.varlog_keep)


def _explain_event(settings: Config, recipe: RecipeSpec, document: Document, log: Path, *, as_json: bool) -> None:
    printed = document.printed
    recorded = sample_of(document, recipe) if printed is None else observation_of(printed.event)
    stages = _stages(recipe, recorded)
    covering = _covering(settings, recipe, recorded)
    if printed is not None:
        note_cut(printed, log, _may_differ(recipe, printed))
    against = next((stage.stage for stage in stages if stage.passed is False), None)
    if as_json:
        answer: dict[str, Any] = {"recipe": recipe.name, "match": against is None, "because": against, "stages": stages}
        answer["exceptions"] = covering
        print(msgspec.json.encode(answer).decode())
        return
    verdict = "matches" if against is None else f"does not match, because of {against}"
    print(f"{visible(recipe.name)} {verdict}")
    _print_stages(stages)
    if against is None:
        _print_exceptions(covering)
    if not recipe.enabled or recipe.info.mode == "off":
        print("but it does not run: it is not enabled" if not recipe.enabled else "but it does not run: mode off")


def _explain_uuid(settings: Config, uuid: str, log: Path | None, data_dir: Path, *, as_json: bool) -> None:
    files = _files(settings, log)
    found = find_events(files, uuid)
    uuid = found[0].event.uuid if found else uuid.lower()
    events = [candidate.event for candidate in found]
    entries = ledger_entries(data_dir / "ledger.jsonl", uuid)
    printed = next((candidate for candidate in found if candidate.event.event_type not in AFTERWARDS), None)
    event = printed.event if printed is not None else None
    if event is None and not entries:
        for rule_id, one in read_counts(data_dir).items():
            if one.last_uuid and is_named_by(one.last_uuid, uuid):
                told = f"exception {rule_id} covered it ({one.last_exe} {one.last_what}); see raqib exceptions"
                raise RaqibError(f"{one.last_uuid} was not printed: {visible(told)}")
        raise RaqibError(
            f"expected an event {uuid} in {files[-1]} or in the ledger in {data_dir}, found none; "
            "--log names another file with events, --data-dir another ledger"
        )
    name = event.metadata.name if event is not None else entries[0].recipe
    recipe = next((recipe for recipe in Library(settings.recipes).load().recipes if recipe.name == name), None)
    stages: list[Finding] = []
    covering = _withheld_by(entries)
    if event is not None and recipe is not None and (event.file is not None or event.flow is not None):
        stages = _stages(recipe, observation_of(event))
        covering += _covering(settings, recipe, observation_of(event))
        if printed is not None:
            note_cut(printed, files[-1], _may_differ(recipe, printed))
    if as_json:
        answer: dict[str, Any] = {"uuid": uuid, "recipe": name, "stages": stages, "events": events, "ledger": entries}
        answer["exceptions"] = covering
        print(msgspec.json.encode(answer).decode())
        return
    pretty = Pretty.for_file(sys.stdout)
    if event is not None:
        print(pretty.render(event), end="")
    else:
        print(f"{visible(name)}: the event itself is not in {files[-1]}")
    _print_why(event, recipe, stages)
    _print_exceptions(covering)
    _print_done(pretty, events, entries)


def _covering(settings: Config, recipe: RecipeSpec, recorded: Recorded) -> list[Excepted]:
    """Return the exception that would cover an event now, if one does."""
    directory = ExceptionsDirectory(settings.exceptions.directory, allow_unsafe_owner=True)
    compiled = CompiledExceptions(directory.load().rules, host_mount_namespace())
    found = compiled.covering(recipe.info, facts_of(recorded))
    return [] if found is None else [found.told]


def _withheld_by(entries: list[Entry]) -> list[Excepted]:
    """Return the exceptions for which reactions were withheld, as the ledger has them."""
    found = {
        entry.arguments["exception"]: Excepted(
            entry.arguments["exception"], entry.arguments.get("file", ""), entry.reason
        )
        for entry in entries
        if entry.action == "execution" and "exception" in entry.arguments
    }
    return list(found.values())


def _print_exceptions(covering: list[Excepted]) -> None:
    for item in covering:
        print(f"exception {item.id} covers it: {visible(item.reason)} ({visible(item.source)})")


def _may_differ(recipe: RecipeSpec, printed: Printed) -> list[str]:
    """Return the stages of which more might be known of the whole event."""
    fields = [gap.field for gap in printed.cut or ()]
    of_processes = any(field == "*" or field.startswith(("process", "background.ancestry")) for field in fields)
    stages = {
        "bases": any(field == "*" or field.startswith("file") for field in fields),
        "flow": any(field == "*" or field.startswith("flow") for field in fields),
        "arbitrary": of_processes and bool(recipe.groups),
        "times": of_processes and bool(recipe.times),
    }
    return [stage for stage, differs in stages.items() if differs]


def _print_why(event: Event | None, recipe: RecipeSpec | None, stages: list[Finding]) -> None:
    if recipe is None:
        print("why: its recipe is not loaded any more, or comes from another place (--recipes)")
        return
    version = recipe.info.version
    changed = event is not None and event.metadata.version != (version or None)
    print("why:" + (f" (the recipe is now of version {visible(version)})" if changed else ""))
    _print_stages(stages)


def _print_stages(stages: list[Finding]) -> None:
    for line in stage_lines(stages):
        print(f"  {line}")


def _print_done(pretty: Pretty, events: list[Event], entries: list[Entry]) -> None:
    if not entries:
        reacted = any(event.event_type == "outcome" for event in events)
        print("done: see the outcome event; the ledger has nothing of it" if reacted else "done: nothing")
        return
    print("done:")
    for entry in entries:
        if entry.action == "execution" and entry.decision == "done":
            continue
        note = f"[ledger {entry.seq}, {entry.duration_us / 1000:.2f} ms]"
        target = describe_target(entry.arguments)
        told = ActionTold(entry.decision, entry.action, target, entry.reason, entry.result, note=note)
        print(pretty.action(told), end="")


def _stages(recipe: RecipeSpec, recorded: Recorded) -> list[Finding]:
    return explain_stages(recipe, recorded.seen, KnownAncestry(recorded.ancestors))


def _recipe(loaded: Loaded, name: str) -> RecipeSpec:
    for recipe in loaded.recipes:
        if recipe.name == name:
            return recipe
    hint = nearest(name, [recipe.name for recipe in loaded.recipes])
    told = "".join(f"\n{diagnostic}" for diagnostic in loaded.errors if diagnostic.recipe in ("", name))
    raise UsageError(f"--recipe: expected the name of a recipe, found {name!r}{hint}{told}")
