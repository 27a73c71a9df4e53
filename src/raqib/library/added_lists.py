"""Lists that the configuration adds to recipes: the public block lists that users have already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from raqib.library.reading import lists_of
from raqib.recipes.diagnostic import CONFIGURATION, Diagnostic, Loaded, nearest, source_of
from raqib.recipes.lists import BadListError, ListCache
from raqib.recipes.spec import DomainList, NetworkList, NetworkPart, RecipeSpec


class AddedLists:
    """Reads them with the recipes, and keeps the last good version of each."""

    def __init__(self, wanted: Mapping[str, Sequence[Path]], cache: ListCache, *, allow_unsafe_owner: bool) -> None:
        self._wanted = {name: tuple(path.absolute() for path in paths) for name, paths in wanted.items()}
        self._good: dict[tuple[str, Path], DomainList | NetworkList] = {}
        self.paths = frozenset(path for paths in self._wanted.values() for path in paths)
        """The files; they need not exist."""
        self._lists = lists_of(Path("/"), allow_unsafe_owner=allow_unsafe_owner, cache=cache)

    def extend(self, loaded: Loaded) -> Loaded:
        """Return the recipes with what is added to them; a list that cannot be read costs only itself."""
        diagnostics: list[Diagnostic] = []
        recipes = [
            self._extended(recipe, diagnostics) if recipe.name in self._wanted else recipe for recipe in loaded.recipes
        ]
        names = [recipe.name for recipe in loaded.recipes]
        for name in self._wanted.keys() - set(names):
            message = f"expected the name of a recipe, found none of that name{nearest(name, names)}"
            diagnostics.append(Diagnostic("error", CONFIGURATION, "", f"recipes.lists.{name}", message))
        return Loaded(tuple(recipes), (*loaded.diagnostics, *diagnostics))

    def _extended(self, recipe: RecipeSpec, diagnostics: list[Diagnostic]) -> RecipeSpec:
        part = recipe.network
        at = f"recipes.lists.{recipe.name}"
        if part is None or recipe.breed not in ("remote_domains", "remote_cidrs"):
            message = f"expected a recipe of breed remote_domains or remote_cidrs, found {recipe.breed}"
            diagnostics.append(Diagnostic("error", CONFIGURATION, recipe.name, at, message))
            return recipe
        for path in self._wanted[recipe.name]:
            try:
                part = self._with(recipe, part, path, diagnostics, at)
            except BadListError as error:
                kept = self._good.get((recipe.name, path))
                stays = "; its last good version stays in force" if kept is not None else ""
                diagnostics.append(
                    Diagnostic("error", CONFIGURATION, recipe.name, at, f"{source_of(path)}: {error}{stays}")
                )
                part = part if kept is None else added(part, kept)
        return replace(recipe, network=part)

    def _with(
        self, recipe: RecipeSpec, part: NetworkPart, path: Path, diagnostics: list[Diagnostic], at: str
    ) -> NetworkPart:
        found: DomainList | NetworkList
        if recipe.breed == "remote_domains":
            found, warnings = self._lists.domains(path, part.remote_domains_type)
        else:
            found, warnings = self._lists.networks(path)
        self._good[recipe.name, path] = found
        diagnostics += [
            Diagnostic("warning", CONFIGURATION, recipe.name, at, f"{source_of(path)}: {warning}")
            for warning in warnings
        ]
        return added(part, found)


def added(part: NetworkPart, entries: DomainList | NetworkList) -> NetworkPart:
    """Return what a recipe says about flows with one more list."""
    if isinstance(entries, DomainList):
        return replace(part, remote_domain_lists=(*part.remote_domain_lists, entries))
    return replace(part, remote_cidr_lists=(*part.remote_cidr_lists, entries))
