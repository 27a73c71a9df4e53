"""`raqib exceptions`: what is held to be normal here, and how often it was."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import typer

from raqib.cli.options import AsJson, ConfigFile, DataDir
from raqib.cli.words import columns, count, printable
from raqib.config.config import load_config
from raqib.control.socket import NoAgentError, ask
from raqib.errors import NotPermittedError
from raqib.exceptions.counts import read_counts
from raqib.exceptions.report import line_of, summary
from raqib.printers.escape import visible
from raqib.recipes.diagnostic import Diagnostic


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command()(exceptions)


def exceptions(as_json: AsJson = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """List what is held to be normal here: how often it was, when last, and until when it holds.

    The exit status is 1 if one of the files is broken.
    """
    settings = load_config(config)
    where = data_dir or settings.data_dir
    said: tuple[Diagnostic, ...] = ()
    running = True
    try:
        found: list[dict[str, Any]] = ask(where, "exceptions")
    except NoAgentError:
        running = False
        # Only without an agent is what one is made of needed.
        from raqib.agent.excepting import directory_of

        loaded = directory_of(settings).load()
        counts = read_counts(where)
        found, said = [summary(rule, counts) for rule in loaded.rules], loaded.diagnostics
    except NotPermittedError as error:
        raise NotPermittedError(f"{error}; what is in the files: raqib check {settings.exceptions.directory}") from None
    for item in said:
        print(f"raqib: {item.severity}: {item}", file=sys.stderr)
    if as_json:
        print(msgspec.json.encode({"running": running, "exceptions": found}).decode())
    else:
        if not running:
            print("raqib: note: no agent runs: this is what one would have in force now", file=sys.stderr)
        _print(found, str(settings.exceptions.directory))
    raise typer.Exit(1 if any(diagnostic.severity == "error" for diagnostic in said) else 0)


def _print(found: list[dict[str, Any]], directory: str) -> None:
    if not found:
        print(f"no exceptions in force: nothing in {visible(directory)}; raqib except UUID drafts one from an event")
        return
    rows = [
        (
            entry["id"],
            visible(entry["recipe"], 40),
            str(entry["count"]),
            entry["last"] or "never",
            f"ended {entry['until']}" if entry["ended"] else entry["until"] or "-",
        )
        for entry in found
    ]
    for line in columns(("id", "recipe", "covered", "last", "until"), rows):
        print(line)
    for rule in found:
        print(f"\n{rule['id']}  {visible(rule['reason'], 200)}")
        for item in rule["when"]:
            print(f"  {printable(line_of(item))}")
        if not rule["when"]:
            print("  every event of its recipes")
        if rule["last_uuid"]:
            last = " ".join(filter(None, (rule["last_exe"], rule["last_what"])))
            print(
                f"  last: {visible(last)} [{rule['last_uuid']}], {count(rule['withheld'], 'reaction')} withheld in all"
            )
        print(f"  {visible(rule['source'])}:{rule['line']}")
