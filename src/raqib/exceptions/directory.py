"""The files of exceptions on disk, read as often as they change; a file that is broken keeps its last good version."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from raqib.exceptions.load import load_file
from raqib.exceptions.rule import ExceptionRule, Rules
from raqib.library.reading import unsafe_owner
from raqib.recipes.diagnostic import Diagnostic, source_of
from raqib.recipes.fingerprint import Fingerprint, fingerprint
from raqib.recipes.load import SUFFIXES
from raqib.recipes.source import is_missing

Snapshot = dict[Path, Fingerprint]


class ExceptionsDirectory:
    """Reads one directory. One call at a time, in whichever thread; calls block."""

    def __init__(self, path: Path, *, allow_unsafe_owner: bool = False, must_exist: bool = False) -> None:
        """Without one there are no exceptions; with `must_exist` that is an error to be told."""
        self.path = path.absolute()
        self._allow_unsafe_owner = allow_unsafe_owner
        self._must_exist = must_exist
        self._good: dict[Path, tuple[ExceptionRule, ...]] = {}

    def snapshot(self) -> Snapshot:
        """Return what is there now, by what changes with it."""
        found: Snapshot = {}
        for path in (self.path, *self._files()):
            mark = fingerprint(path)
            if mark is not None:
                found[path] = mark
        return found

    def load(self) -> Rules:
        """Return what is in force now.

        A file is taken as a whole: with an error in it, what it said before stays, and nothing of it if it said
        nothing before. A directory or file that others can write quiets nothing, whatever it said before.
        """
        if problem := self._problem():
            self._good.clear()
            return Rules((), (Diagnostic("error", source_of(self.path), "", "", problem),))
        rules: list[ExceptionRule] = []
        said: list[Diagnostic] = []
        good: dict[Path, tuple[ExceptionRule, ...]] = {}
        for path in self._files():
            loaded = load_file(path, allow_unsafe_owner=self._allow_unsafe_owner)
            said += loaded.diagnostics
            good[path] = loaded.rules
            if loaded.failed:
                good[path] = () if self._is_unsafe(path) else self._good.get(path, ())
                what = "its last good version stays in force" if good[path] else "nothing in it is in force"
                said.append(Diagnostic("warning", source_of(path), "", "", what))
            rules += good[path]
        self._good = good
        return Rules(tuple(rules), tuple(said))

    def _files(self) -> list[Path]:
        try:
            return sorted(
                item for item in self.path.iterdir() if item.suffix in SUFFIXES and not item.name.startswith(".")
            )
        except OSError:
            return []

    def _problem(self) -> str | None:
        if is_missing(self.path):
            missing = "expected a directory of exceptions, found nothing: make it, or take the setting out"
            return missing if self._must_exist else None
        try:
            if not self.path.is_dir():
                return "expected a directory of exceptions, found another file"
            if not self._allow_unsafe_owner and (problem := unsafe_owner(self.path)):
                return f"{problem}; until then no exception holds"
            next(self.path.iterdir(), None)
        except OSError as error:
            return f"expected a readable directory of exceptions: {error.strerror or error}; until then none holds"
        return None

    def _is_unsafe(self, path: Path) -> bool:
        if self._allow_unsafe_owner:
            return False
        try:
            return unsafe_owner(path) is not None
        except OSError:
            return True


def load_path(path: Path) -> Rules:
    """Load a file, or all files of a directory, whoever owns them."""
    if not path.is_dir():
        return load_file(path, allow_unsafe_owner=True)
    loaded = ExceptionsDirectory(path, allow_unsafe_owner=True).load()
    # Nothing has a last good version here.
    return replace(
        loaded, diagnostics=tuple(diagnostic for diagnostic in loaded.diagnostics if diagnostic.severity == "error")
    )
