"""Options of the commands that work with recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from raqib.config.config import Config, load_config
from raqib.errors import UsageError
from raqib.recipes.source import is_missing

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Default: /etc/raqib/config.yaml, if there is one.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text for people.")]
Recipes = Annotated[
    list[Path] | None, typer.Option("--recipes", help="A directory or file of recipes, beside the configuration's.")
]
NoBuiltin = Annotated[bool, typer.Option("--no-builtin", help="Without the built-in recipes.")]
Enable = Annotated[
    list[str] | None,
    typer.Option("--enable", help="A pattern of names, or kind:, tactic:, technique:, importance: and one."),
]
Disable = Annotated[list[str] | None, typer.Option("--disable", help="The same, and stronger.")]


def settings_of(
    config: Path | None,
    recipes: list[Path] | None,
    no_builtin: bool,
    enable: list[str] | None,
    disable: list[str] | None,
) -> Config:
    """Return the configuration with what the command line adds, for commands that only look: any owner will do.

    Raises UsageError if the command line names what is not there.
    """
    for path in recipes or ():
        if is_missing(path):
            raise UsageError(f"--recipes: expected a directory or file of recipes, found nothing at {path}")
    settings = load_config(config)
    chosen = settings.recipes
    chosen = replace(
        chosen,
        directories=(*chosen.directories, *(recipes or ())),
        builtin=chosen.builtin and not no_builtin,
        enable=(*chosen.enable, *(enable or ())),
        disable=(*chosen.disable, *(disable or ())),
        allow_unsafe_owner=True,
    )
    return replace(settings, recipes=chosen)
