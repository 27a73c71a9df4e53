"""Which recipes the configuration switches on and off: by name, kind, tactic, technique or importance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec

from raqib.model.recipe import IMPORTANCES, RecipeInfo
from raqib.recipes.diagnostic import CONFIGURATION, Diagnostic, nearest, shown
from raqib.recipes.spec import RecipeSpec

_VALUES: dict[str, Callable[[RecipeInfo], tuple[str | None, ...]]] = {
    "name": lambda recipe: (recipe.name,),
    "kind": lambda recipe: (recipe.kind,),
    "tactic": lambda recipe: (recipe.tactic, recipe.tactic_id),
    "technique": lambda recipe: (
        recipe.technique,
        recipe.technique_id,
        recipe.subtechnique,
        recipe.subtechnique_id,
    ),
    "importance": lambda recipe: (recipe.importance,),
}


class Selector(NamedTuple):
    """One entry: a shell pattern of what a recipe says of itself under `key`."""

    key: str
    pattern: str

    def matches(self, recipe: RecipeInfo) -> bool:
        """Tell whether the entry means a recipe."""
        return any(value and fnmatchcase(value, self.pattern) for value in _VALUES[self.key](recipe))


def selector(entry: str) -> Selector:
    """Read an entry: `kind:pattern`, `tactic:…`, `technique:…`, `importance:…`, `name:…`, or a pattern of names."""
    key, colon, pattern = entry.partition(":")
    return Selector(key, pattern) if colon and key in _VALUES else Selector("name", entry)


def switch(
    recipes: Sequence[RecipeSpec], enable: Iterable[str], disable: Iterable[str]
) -> tuple[list[RecipeSpec], list[Diagnostic]]:
    """Return the recipes as the configuration wants them, `disable` being stronger; and which entry means none."""
    enable, disable = tuple(enable), tuple(disable)
    on = {entry: selector(entry) for entry in enable}
    off = {entry: selector(entry) for entry in disable}
    used: set[str] = set()

    def meant(recipe: RecipeSpec, entries: dict[str, Selector]) -> bool:
        found = {entry for entry, selector in entries.items() if selector.matches(recipe.info)}
        used.update(found)
        return bool(found)

    switched = []
    for recipe in recipes:
        wanted, unwanted = meant(recipe, on), meant(recipe, off)
        enabled = (recipe.enabled or wanted) and not unwanted
        switched.append(recipe if enabled == recipe.enabled else msgspec.structs.replace(recipe, enabled=enabled))
    unused = [
        Diagnostic("error", CONFIGURATION, "", f"recipes.{key}[{index}]", _useless(entry))
        for key, entries in (("enable", enable), ("disable", disable))
        for index, entry in enumerate(entries)
        if entry not in used
    ]
    return switched, unused


def _useless(entry: str) -> str:
    key, colon, pattern = entry.partition(":")
    hint = ""
    if colon and key not in _VALUES:
        hint = nearest(key, _VALUES) or f"; before a colon stands one of {', '.join(_VALUES)}"
    elif key == "importance":
        hint = nearest(pattern, IMPORTANCES)
    return f"expected an entry that means some recipe, found {shown(entry)}{hint}"
