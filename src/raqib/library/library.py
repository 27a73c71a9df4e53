"""The recipes on disk, read as often as they change; what is broken keeps its last good version."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from raqib.config.config import RecipesConfig
from raqib.library.added_lists import AddedLists
from raqib.library.reading import ReactionChecks, files_of, lists_of, load_safely
from raqib.library.selection import switch
from raqib.recipes.diagnostic import Diagnostic, Loaded, source_of
from raqib.recipes.fingerprint import Fingerprint, fingerprint, is_settled
from raqib.recipes.lists import ListCache
from raqib.recipes.load import combine, load_builtin
from raqib.recipes.source import is_missing
from raqib.recipes.spec import RecipeSpec

Snapshot = dict[Path, Fingerprint]


class _Read(NamedTuple):
    """A file as it was read, and by what it would be seen to have changed."""

    mark: Fingerprint | None
    lists: dict[Path, Fingerprint | None]
    loaded: Loaded

    def stands(self, mark: Fingerprint | None) -> bool:
        """Tell whether neither the file nor a list that it names has changed."""
        if mark is None or self.mark != mark:
            return False
        return all(fingerprint(path) == known for path, known in self.lists.items())


class Library:
    """Reads what the configuration names. One call at a time, in whichever thread; calls block."""

    def __init__(self, config: RecipesConfig, *, shell: bool = True) -> None:
        """`shell` tells whether shell reactions are switched on; if they are not, recipes with some get a warning."""
        self._config = config
        self._shell = shell
        self.paths: tuple[Path, ...] = tuple(path.absolute() for path in config.directories)
        """The files and directories of the user's recipes; they need not exist."""
        self.diagnostics: tuple[Diagnostic, ...] = ()
        """What the last `load` had to say."""
        self._builtin: Loaded | None = None
        self._read: dict[Path, _Read] = {}
        self._cache = ListCache()
        self._added = AddedLists(config.lists, self._cache, allow_unsafe_owner=config.allow_unsafe_owner)
        self._good: dict[Path, dict[str, RecipeSpec]] = {}
        self._inodes: dict[Path, Fingerprint] = {}
        """Device and inode of each file: its own under whatever name."""
        self._owned: dict[Path, list[Path]] = {}
        self._reactions = ReactionChecks()

    def snapshot(self) -> Snapshot:
        """Return what is there now, by what changes with it; directories count with their files and their lists."""
        found: Snapshot = {}
        for path in self._lists():
            mark = fingerprint(path)
            if mark is not None:
                found[path] = mark
        for path in self.paths:
            files, _ = files_of(path, allow_unsafe_owner=True)
            for file in (path, *files):
                mark = fingerprint(file)
                if mark is not None:
                    found[file] = mark
        return found

    def load(self) -> Loaded:
        """Return all recipes as they are now, the enabled ones with reactions that compile.

        Raises NotPermittedError if no process comes up in which reactions can be checked.
        """
        if self._builtin is None:
            self._builtin = load_builtin() if self._config.builtin else Loaded()
        files, problems = self._files()
        fresh = {path: self._load_file(path) for path in files}
        everything = [recipe for loaded in (self._builtin, *fresh.values()) for recipe in loaded.recipes]
        enabled, unused = switch(everything, self._config.enable, self._config.disable)
        self._reactions.learn(reaction for recipe in enabled if recipe.enabled for reaction in recipe.info.reactions)
        self._follow_renames(files)
        users = [self._keep_good(path, loaded) for path, loaded in fresh.items()]
        self._good = {path: good for path, good in self._good.items() if path in fresh}
        self._read = {path: read for path, read in self._read.items() if path in fresh}
        self._cache.keep(self._lists())
        together = self._added.extend(combine(self._reactions.filter(self._switched(self._builtin)), users))
        self.diagnostics = (*problems, *together.diagnostics, *unused, *self._refused_shells(together.recipes))
        return Loaded(together.recipes, self.diagnostics)

    def _lists(self) -> set[Path]:
        """Return the files of lists that were asked for last."""
        return {*self._added.paths, *(path for read in self._read.values() for path in read.lists)}

    def _files(self) -> tuple[list[Path], list[Diagnostic]]:
        """Return the files to read. A directory that is there but cannot be used stands for its last files."""
        found: dict[Path, None] = {}
        problems = []
        for path in self.paths:
            files, problem = files_of(path, allow_unsafe_owner=self._config.allow_unsafe_owner)
            if problem is not None:
                problems.append(problem)
                files = [] if is_missing(path) else self._owned.get(path, [])
            self._owned[path] = files
            found.update(dict.fromkeys(files))
        return list(found), problems

    def _load_file(self, path: Path) -> Loaded:
        mark = fingerprint(path)
        before = self._read.get(path)
        if before is not None and before.stands(mark):
            return before.loaded
        unsafe = self._config.allow_unsafe_owner
        lists = lists_of(path.parent, allow_unsafe_owner=unsafe, cache=self._cache)
        loaded = load_safely(path, allow_unsafe_owner=unsafe, lists=lists)
        self._read[path] = _Read(mark if mark is not None and is_settled(mark) else None, lists.used, loaded)
        return loaded

    def _follow_renames(self, files: Iterable[Path]) -> None:
        """Let a file that has another name now keep what was good of it."""
        found = {path: mark[:2] for path in files if (mark := fingerprint(path)) is not None}
        former = {inode: path for path, inode in self._inodes.items() if path not in found}
        for path, inode in found.items():
            if path not in self._good and inode in former:
                self._good[path] = self._good.pop(former[inode], {})
        self._inodes = found

    def _keep_good(self, path: Path, loaded: Loaded) -> Loaded:
        """Return what is in force of a file: what is good now, and the last good version of what is broken."""
        before = self._good.get(path, {})
        checked = self._reactions.filter(self._switched(loaded))
        good = {recipe.name: recipe for recipe in checked.recipes}
        broken = {diagnostic.recipe for diagnostic in checked.errors}
        # Without a name it could be any of those that are not there any more.
        nameless = "" in broken
        kept = {name: recipe for name, recipe in before.items() if name not in good and (nameless or name in broken)}
        self._good[path] = good | kept
        notes = [
            Diagnostic("warning", source_of(path), name, "", "its last good version stays in force")
            for name in sorted(kept)
        ]
        return Loaded((*good.values(), *kept.values()), (*checked.diagnostics, *notes))

    def _refused_shells(self, recipes: Iterable[RecipeSpec]) -> list[Diagnostic]:
        """Return a warning for each shell reaction that will be refused."""
        return [
            Diagnostic(
                "warning",
                recipe.info.source,
                recipe.name,
                f"reactions[{index}]",
                "expected shell reactions to be switched on, they are not, and this one will be refused: "
                "set reactions.shell to true, or write it in JavaScript",
            )
            for recipe in recipes
            if not self._shell and recipe.enabled and recipe.info.mode == "react"
            for index, reaction in enumerate(recipe.info.reactions)
            if reaction.format == "shell"
        ]

    def _switched(self, loaded: Loaded) -> Loaded:
        recipes, _ = switch(loaded.recipes, self._config.enable, self._config.disable)
        return Loaded(tuple(recipes), loaded.diagnostics)


def is_unsettled(snapshot: Snapshot) -> bool:
    """Tell whether something was changed so shortly ago that a further change might not show."""
    return not all(map(is_settled, snapshot.values()))


def gather(config: RecipesConfig) -> Loaded:
    """Load everything that the configuration names; whatever is wrong costs only itself and is in the diagnostics."""
    return Library(config).load()
