"""Which recipes run: built-in ones and the user's, those that are enabled, with reactions that compile."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from raqib.agent.config import RecipesConfig
from raqib.reactions import check_reactions
from raqib.recipes.diagnostic import Diagnostic, Loaded
from raqib.recipes.load import combine, load_builtin, load_directory, load_file
from raqib.recipes.spec import RecipeSpec


def gather(config: RecipesConfig) -> Loaded:
    """Load everything that the configuration names; whatever is wrong costs only itself and is in the diagnostics."""
    builtin = load_builtin() if config.builtin else Loaded()
    users = [load_path(path, allow_unsafe_owner=config.allow_unsafe_owner) for path in config.directories]
    loaded = combine(builtin, users)
    recipes = [_switched(recipe, config) for recipe in loaded.recipes]
    kept, problems = with_checked_reactions(recipes)
    return Loaded(tuple(kept), (*loaded.diagnostics, *problems))


def load_path(path: Path, *, allow_unsafe_owner: bool) -> Loaded:
    """Load a file, or the files of a directory. Recipes are root's code: what others can write is refused."""
    if not path.exists():
        return _refused(path, "expected a file or directory of recipes, found nothing")
    files = sorted(one for one in path.iterdir() if one.suffix in (".yaml", ".yml")) if path.is_dir() else [path]
    if not allow_unsafe_owner:
        for one in (path, *files):
            if (problem := _unsafe(one)) is not None:
                return _refused(one, problem)
    return load_directory(path) if path.is_dir() else load_file(path)


def with_checked_reactions(recipes: Sequence[RecipeSpec]) -> tuple[list[RecipeSpec], list[Diagnostic]]:
    """Leave out the recipes with a reaction that does not compile, and say why."""
    reactions = [reaction for recipe in recipes if recipe.enabled for reaction in recipe.info.reactions]
    problems = dict(zip(reactions, check_reactions(reactions), strict=True)) if reactions else {}
    kept, diagnostics = [], []
    for recipe in recipes:
        wrong = [
            (index, problem)
            for index, reaction in enumerate(recipe.info.reactions)
            if recipe.enabled and (problem := problems[reaction]) is not None
        ]
        if not wrong:
            kept.append(recipe)
        diagnostics += [
            Diagnostic("error", recipe.info.source, recipe.name, f"reactions[{index}].code", str(problem))
            for index, problem in wrong
        ]
    return kept, diagnostics


def _switched(recipe: RecipeSpec, config: RecipesConfig) -> RecipeSpec:
    enabled = recipe.enabled or any(fnmatchcase(recipe.name, pattern) for pattern in config.enable)
    enabled = enabled and not any(fnmatchcase(recipe.name, pattern) for pattern in config.disable)
    return recipe if enabled == recipe.enabled else msgspec.structs.replace(recipe, enabled=enabled)


def _unsafe(path: Path) -> str | None:
    status = path.stat()
    if status.st_uid != 0:
        return f"expected root as owner, found uid {status.st_uid}: chown root {path}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"expected that root alone can write, found mode {stat.filemode(status.st_mode)}: chmod go-w {path}"
    return None


def _refused(path: Path, problem: str) -> Loaded:
    return Loaded((), (Diagnostic("error", str(path), "", "", problem),))
