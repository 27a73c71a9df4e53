"""`raqib recipes`: what is loaded, and whether it runs."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from typing import Annotated, Any

import msgspec
import typer

from raqib.cli.recipe_options import AsJson, ConfigFile, Disable, Enable, NoBuiltin, Recipes, settings_of
from raqib.cli.words import columns, count, printable
from raqib.errors import UsageError
from raqib.library.library import Library
from raqib.library.selection import Selector
from raqib.matcher.explain import describe_pattern
from raqib.model.actions import action_names
from raqib.model.flow import flow_action_names
from raqib.printers.escape import visible
from raqib.recipes.diagnostic import Loaded, nearest
from raqib.recipes.spec import NetworkPart, RecipeSpec

app = typer.Typer(help="List the recipes, or show one.", invoke_without_command=True)


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="recipes")


@app.callback()
def recipes_(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="Only names that fit this shell pattern.")] = "*",
    kind: Annotated[str | None, typer.Option(help="Only kinds that fit this shell pattern.")] = None,
    tactic: Annotated[str | None, typer.Option(help="Only that ATT&CK tactic: a shell pattern or TA0001.")] = None,
    importance: Annotated[str | None, typer.Option(help="Only that importance; a shell pattern.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="Only those that run, or do not.")
    ] = None,
    recipes: Recipes = None,
    no_builtin: NoBuiltin = False,
    enable: Enable = None,
    disable: Disable = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the recipes that the configuration names, as an agent would load them now.

    The exit status is 1 if one of them is broken.
    """
    if context.invoked_subcommand is not None:
        return
    loaded = Library(settings_of(config, recipes, no_builtin, enable, disable).recipes).load()
    filters = [("kind", kind), ("tactic", tactic), ("importance", importance)]
    selectors = [Selector(key, pattern) for key, pattern in filters if pattern is not None]
    chosen = [
        recipe
        for recipe in sorted(loaded.recipes, key=lambda recipe: recipe.name)
        if fnmatchcase(recipe.name, name)
        and all(selector.matches(recipe.info) for selector in selectors)
        and enabled in (None, runs(recipe))
    ]
    _complain(loaded)
    if as_json:
        print(msgspec.json.encode([summary(recipe) for recipe in chosen]).decode())
    else:
        _print_list(chosen)
    raise typer.Exit(1 if loaded.errors else 0)


def _print_list(chosen: list[RecipeSpec]) -> None:
    infos = [(recipe.info, "yes" if runs(recipe) else "no") for recipe in chosen]
    rows = [(info.name, word, info.kind, info.tactic, info.importance, info.mode, info.source) for info, word in infos]
    title = ("recipe", "runs", "kind", "tactic", "importance", "mode", "source")
    for line in columns(title, [list(map(visible, row)) for row in rows]):
        print(line)
    print(f"{count(len(chosen), 'recipe')}, {sum(map(runs, chosen))} of them run")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="The recipe's name.")],
    recipes: Recipes = None,
    no_builtin: NoBuiltin = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one recipe as it was understood: macros expanded, defaults filled in."""
    loaded = Library(settings_of(config, recipes, no_builtin, None, None).recipes).load()
    found = next((recipe for recipe in loaded.recipes if recipe.name == name), None)
    if found is None:
        _complain(loaded)
        hint = nearest(name, [recipe.name for recipe in loaded.recipes])
        raise UsageError(f"expected the name of a recipe, found {name!r}{hint}")
    details = description(found)
    if as_json:
        print(msgspec.json.encode(details).decode())
        return
    for key, value in details.items():
        if value in ("", None, [], {}):
            continue
        if isinstance(value, list):
            print(f"{key}:")
            for entry in value:
                _print_entry(entry)
        else:
            print(f"{key}: {printable(_plain(value))}")


def runs(recipe: RecipeSpec) -> bool:
    """Tell whether an agent would run the recipe."""
    return recipe.enabled and recipe.info.mode != "off"


def summary(recipe: RecipeSpec) -> dict[str, Any]:
    """Return what a list says of a recipe."""
    info = recipe.info
    return {
        "name": info.name,
        "kind": info.kind,
        "enabled": recipe.enabled,
        "mode": info.mode,
        "importance": info.importance,
        "mechanism": recipe.mechanism,
        "tactic": info.tactic,
        "technique": info.technique,
        "subtechnique": info.subtechnique,
        "builtin": info.builtin,
        "source": info.source,
    }


def description(recipe: RecipeSpec) -> dict[str, Any]:
    """Return all of a recipe."""
    info, part = recipe.info, recipe.file
    details = summary(recipe) | {
        "version": info.version,
        "description": info.description,
        "documentation": info.documentation,
        "attack": [
            identifier for identifier in (info.tactic_id, info.technique_id, info.subtechnique_id) if identifier
        ],
        "limits": {key: value for key, value in msgspec.structs.asdict(info.limits).items() if value is not None},
        "times": [f"{limit.kind}: {limit.max}" for limit in recipe.times],
    }
    if part is not None:
        details["file_actions"] = " ".join(action_names(part.actions))
        details["file_actions_how"] = "all" if part.all else "any"
        details["bases"] = [describe_pattern(pattern) for pattern in part.patterns] or ["any file"]
    if recipe.network is not None:
        details["network"] = _network(recipe.network)
    details["arbitrary"] = [msgspec.to_builtins(group) for group in recipe.groups]
    details["reactions"] = [{"format": reaction.format, "code": reaction.code} for reaction in info.reactions]
    details["tests"] = [test.name for test in recipe.tests]
    return details


def _network(part: NetworkPart) -> dict[str, Any]:
    """Return what a recipe says about flows; of lists in files, how many entries they have."""
    details = {key: value for key, value in msgspec.structs.asdict(part).items() if value}
    for key in ("remote_domain_lists", "remote_cidr_lists"):
        if key in details:
            details[key] = [
                f"{listed.path}: {count(len(listed.entries), 'name' if 'domain' in key else 'network')}"
                for listed in details[key]
            ]
    details["flow_actions"] = " ".join(flow_action_names(part.flow_actions))
    details["flow_actions_how"] = "all" if details.pop("flow_actions_all", False) else "any"
    return details


def _print_entry(entry: Any) -> None:
    if not isinstance(entry, dict):
        print(f"  - {printable(_plain(entry))}")
    elif "code" in entry:
        print(f"  - {entry['format']}")
        for line in entry["code"].splitlines():
            print(f"      {printable(line)}")
    else:
        print(f"  - how: {'AND' if entry['every'] else 'OR'}, which: {_which(entry)}")
        for item in entry["items"]:
            told = ", ".join(
                f"{key}: {_plain(item[key])}"
                for key in ("index", "pattern", "numbers", "time", "cidr")
                if item[key] is not None
            )
            print(f"      {_which(item)} {item['what']} {item['when']} {printable(told)}")


def _which(entry: dict[str, Any]) -> str:
    return "pertinent" if entry["pertinent"] else "irrelevant"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _complain(loaded: Loaded) -> None:
    for diagnostic in loaded.diagnostics:
        # Warnings about recipes are for `raqib check`.
        if diagnostic.severity == "error" or diagnostic.source == "configuration":
            print(f"raqib: {diagnostic.severity}: {diagnostic}", file=sys.stderr)
