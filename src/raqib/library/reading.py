"""Reading recipe files as an agent does: who else could have written them, and whether their reactions compile."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from raqib.model.recipe import Reaction
from raqib.reactions import ReactionProblem, action_of, check_reactions, doubts_about
from raqib.recipes.code_place import CodePlaces
from raqib.recipes.diagnostic import Diagnostic, Loaded, Severity, source_of
from raqib.recipes.lists import ListCache, Lists
from raqib.recipes.load import MAX_FILE_BYTES, SUFFIXES, combine, load_file
from raqib.recipes.spec import RecipeSpec


def load_path(path: Path, *, allow_unsafe_owner: bool) -> Loaded:
    """Load a file, or the files of a directory. Recipes are root's code: what others can write is refused."""
    files, problem = files_of(path, allow_unsafe_owner=allow_unsafe_owner)
    if problem is not None:
        return Loaded((), (problem,))
    return combine(Loaded(), [load_safely(file, allow_unsafe_owner=allow_unsafe_owner) for file in files])


def files_of(path: Path, *, allow_unsafe_owner: bool) -> tuple[list[Path], Diagnostic | None]:
    """Return the recipe files that a path stands for, or why they are not looked at."""
    try:
        if not path.exists():
            return [], problem_of(path, "expected a file or directory of recipes, found nothing")
        if not path.is_dir():
            return [path], None
        if not allow_unsafe_owner and (problem := unsafe_owner(path)) is not None:
            return [], problem_of(path, problem)
        return sorted(
            file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith(".")
        ), None
    except OSError as error:
        return [], problem_of(path, f"expected a readable directory: {error.strerror or error}")


def without_recipes(path: Path, found: Loaded) -> list[Diagnostic]:
    """Return a warning if there is nothing at all in what was loaded from a path: it may be another one's name."""
    files, problem = files_of(path, allow_unsafe_owner=True)
    if found != Loaded() or problem is not None:
        return []
    suffixes = " or ".join(f"*{suffix}" for suffix in SUFFIXES)
    message = "expected a list of recipes, found nothing there" if files else f"expected files {suffixes}, found none"
    return [Diagnostic("warning", source_of(path), "", "", message)]


def load_safely(path: Path, *, allow_unsafe_owner: bool, lists: Lists | None = None) -> Loaded:
    """Load one file, unless others than root can write it."""
    if not allow_unsafe_owner:
        try:
            problem = unsafe_owner(path)
        except OSError as error:
            problem = f"expected a readable file: {error.strerror or error}"
        if problem is not None:
            return Loaded((), (problem_of(path, problem),))
    return load_file(path, lists=lists or lists_of(path.parent, allow_unsafe_owner=allow_unsafe_owner))


def lists_of(directory: Path, *, allow_unsafe_owner: bool, cache: ListCache | None = None) -> Lists:
    """Return what reads the lists that recipes in a directory name; they are part of root's code."""
    return Lists(directory, cache) if allow_unsafe_owner else Lists(directory, cache, unsafe_owner)


def problem_of(path: Path, message: str) -> Diagnostic:
    """Return an error about a whole file or directory."""
    return Diagnostic("error", source_of(path), "", "", message)


def unsafe_owner(path: Path) -> str | None:
    """Return why a file or directory is not root's alone to write; None if it is. Raises OSError."""
    status = path.stat()
    if status.st_uid != 0:
        return f"expected root as owner, found uid {status.st_uid}: chown root {path}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"expected that root alone can write, found mode {stat.filemode(status.st_mode)}: chmod go-w {path}"
    return None


class ReactionChecks:
    """Remembers which reactions compile, and what else is to be said of them: each is tried once."""

    def __init__(self) -> None:
        self._known: dict[Reaction, ReactionProblem | None] = {}
        self._warnings: dict[Reaction, tuple[ReactionProblem, ...]] = {}
        self._actions: dict[Reaction, str | None] = {}

    def learn(self, reactions: Iterable[Reaction]) -> None:
        """Check those that are new, and forget those that are gone. Raises NotPermittedError."""
        wanted = dict.fromkeys(reactions)
        self._known = {reaction: known for reaction, known in self._known.items() if reaction in wanted}
        new = [reaction for reaction in wanted if reaction not in self._known]
        if new:
            self._known.update(zip(new, check_reactions(new), strict=True))
        good = tuple(reaction for reaction, problem in self._known.items() if problem is None)
        self._warnings = {
            reaction: self._warnings[reaction] if reaction in self._warnings else doubts_about(reaction)
            for reaction in good
        }
        self._actions = {
            reaction: self._actions[reaction] if reaction in self._actions else action_of(reaction) for reaction in good
        }

    def filter(self, loaded: Loaded) -> Loaded:
        """Leave out the enabled recipes with a reaction that does not compile, and say why."""
        kept, diagnostics = [], []
        places: dict[str, CodePlaces] = {}
        for recipe in loaded.recipes:
            wrong = False
            source = recipe.info.source
            for index, reaction in enumerate(recipe.info.reactions if recipe.enabled else ()):
                problem = self._known[reaction]
                wrong |= problem is not None
                file = places.setdefault(source, CodePlaces(source, MAX_FILE_BYTES))
                said = [problem] if problem is not None else self._warnings[reaction]
                severity: Severity = "warning" if problem is None else "error"
                diagnostics += [_diagnostic(severity, problem, recipe, index, file) for problem in said]
                if _acts_on_all(recipe) and (helper := self._actions.get(reaction)):
                    every = "file that is touched" if recipe.mechanism == "file_access" else "program that starts"
                    message = f"expected a condition, found none beside {helper}: it acts on every {every}"
                    message += "; add bases, or arbitrary"
                    diagnostics.append(Diagnostic("warning", source, recipe.name, f"reactions[{index}]", message))
            if not wrong:
                kept.append(recipe)
        return Loaded(tuple(kept), (*loaded.diagnostics, *diagnostics))


def _acts_on_all(recipe: RecipeSpec) -> bool:
    """Tell whether nothing but actions decides on which files a recipe's reactions run."""
    return recipe.file is not None and not recipe.file.patterns and not recipe.groups and recipe.info.mode == "react"


def _diagnostic(
    severity: Severity, problem: ReactionProblem, recipe: RecipeSpec, index: int, file: CodePlaces
) -> Diagnostic:
    """Return what is to be said of a reaction, with its place in the file as far as that is known."""
    path, source, code = f"reactions[{index}].code", recipe.info.source, recipe.info.reactions[index].code
    place = file.find(recipe.name, index, code, problem.line, problem.column) if problem.line else None
    if place is None or not place.column:
        at = "" if not problem.line else f"line {problem.line}, column {problem.column} of the code: "
        return Diagnostic(severity, source, recipe.name, path, at + problem.message, place.line if place else 0)
    return Diagnostic(severity, source, recipe.name, path, problem.message, place.line, place.column)


def with_checked_reactions(recipes: Sequence[RecipeSpec]) -> tuple[list[RecipeSpec], list[Diagnostic]]:
    """Leave out the enabled recipes with a reaction that does not compile, and say why. Raises NotPermittedError."""
    checks = ReactionChecks()
    checks.learn(reaction for recipe in recipes if recipe.enabled for reaction in recipe.info.reactions)
    kept = checks.filter(Loaded(tuple(recipes)))
    return list(kept.recipes), list(kept.diagnostics)
