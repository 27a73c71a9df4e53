"""`raqib check`: what is wrong with recipes and configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from raqib.agent.excepting import directory_of
from raqib.agent.start import Start, examine
from raqib.cli.words import count
from raqib.config.config import Config, load_config, read_config
from raqib.errors import UsageError
from raqib.exceptions.counts import Count, read_counts
from raqib.exceptions.directory import load_path as load_exceptions
from raqib.exceptions.doubts import doubts
from raqib.exceptions.load import looks_like_exceptions
from raqib.exceptions.rule import ExceptionRule
from raqib.library.reading import files_of, load_path, with_checked_reactions, without_recipes
from raqib.netpolicy.spec import KEY as POLICY
from raqib.netpolicy.spec import MAX_BYTES, load_policy
from raqib.recipes.check import REQUIRED_FIELDS
from raqib.recipes.diagnostic import Diagnostic, Loaded
from raqib.recipes.document import Mapping, parse
from raqib.recipes.load import combine
from raqib.recipes.source import BadSourceError, read_source


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command("check")(command)


def command(
    paths: Annotated[
        list[Path], typer.Argument(help="Files of recipes or exceptions, directories of them, configurations.")
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Validate recipes and configuration; exit status 1 if anything is wrong."""
    raise typer.Exit(check(paths, as_json=json))


def check(paths: list[Path], *, as_json: bool) -> int:
    """Print a line for each problem and a summary; return the exit status."""
    loaded: list[Loaded] = []
    diagnostics: list[Diagnostic] = []
    configurations = policies = 0
    excepting: list[ExceptionRule] = []
    for path in paths:
        match _kind(path):
            case "configuration":
                configurations += 1
                diagnostics += _check_configuration(path)
            case "policy":
                policies += 1
                diagnostics += load_policy(path)[1]
            case "exceptions":
                rules = load_exceptions(path)
                excepting += rules.rules
                diagnostics += rules.diagnostics
            case _:
                # Who owns the files is a matter of the host that runs them, not of the one that checks them.
                found = load_path(path, allow_unsafe_owner=True)
                loaded.append(found)
                diagnostics += without_recipes(path, found)
    together = combine(Loaded(), loaded)
    recipes, problems = with_checked_reactions(together.recipes)
    # Whose names are meant is known of a whole configuration only: here those of the package may be left out.
    diagnostics = [*together.diagnostics, *problems, *diagnostics, *doubts(excepting, counts=_counted())]
    errors = sum(1 for diagnostic in diagnostics if diagnostic.severity == "error")
    if as_json:
        summary = {"recipes": len(recipes), "exceptions": len(excepting), "errors": errors, "diagnostics": diagnostics}
        print(msgspec.json.encode(summary).decode())
    else:
        for diagnostic in diagnostics:
            print(f"{diagnostic.severity}: {diagnostic}")
        checked = f"{count(len(recipes), 'recipe')} and {count(configurations, 'configuration')}"
        checked += f" and {count(policies, 'policy file')}" if policies else ""
        checked += f" and {count(len(excepting), 'exception')}" if excepting else ""
        print(f"{checked} checked: {count(errors, 'error')}, {count(len(diagnostics) - errors, 'warning')}")
    return 1 if errors else 0


def _check_configuration(path: Path) -> list[Diagnostic]:
    """Return all that `raqib run` would say at start: what is wrong with it, and with all that it names."""
    file = read_config(path)
    if file.config is None:
        return file.diagnostics
    start = examine(file.config, file)
    return [*start.diagnostics, *_check_exceptions(file.config, start)]


def _check_exceptions(config: Config, start: Start) -> list[Diagnostic]:
    """Return what is to be said of the exceptions that a configuration names, beside its recipes."""
    found = directory_of(config).load()
    recipes = [recipe.info for recipe in start.loaded.recipes]
    return [*found.diagnostics, *doubts(found.rules, recipes, read_counts(config.data_dir))]


def _counted() -> dict[str, Count]:
    """Return what the agent of this host has counted, as far as that may be read."""
    try:
        return read_counts(load_config(None).data_dir)
    except UsageError:
        return {}


def _kind(path: Path) -> Literal["recipes", "exceptions", "configuration", "policy"]:
    """A recipe file is a list, a configuration is a mapping, and one that has only a policy in it is a policy.

    Exceptions are lists as well, whose entries say `recipe`; a directory is one of exceptions if all its files are.
    """
    try:
        if path.is_dir():
            files, _ = files_of(path, allow_unsafe_owner=True)
            return "exceptions" if files and all(_kind(file) == "exceptions" for file in files) else "recipes"
        node, _ = parse(read_source(path, MAX_BYTES)) if path.is_file() else (None, [])
    except (BadSourceError, OSError):
        return "recipes"
    if looks_like_exceptions(node):
        return "exceptions"
    if isinstance(node, Mapping):
        if list(node.entries) == [POLICY]:
            return "policy"
        # A recipe that stands alone is a mapping too, and no list, which is what to say of it.
        return "recipes" if node.entries.keys() & {*REQUIRED_FIELDS} else "configuration"
    return "recipes"
