"""What the loader has to say about a file: errors disable a recipe, warnings do not."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec

from raqib.recipes.spec import RecipeSpec

Severity = Literal["error", "warning"]

CONFIGURATION: Final = "configuration"
"""The source of what concerns the configuration, where its file is not known; its path is that of the setting."""

_LONGEST_PATH: Final = 4096
"""The kernel takes none that is longer."""


class Diagnostic(msgspec.Struct, frozen=True):
    """One error or warning."""

    severity: Severity
    source: str
    """The file."""
    recipe: str
    """The recipe's name; empty if it has none, or if the whole file is meant."""
    path: str
    """Where in the file, as `$[3].bases[1].regex`; empty if the whole file is meant."""
    message: str
    """Expected, found, what to do."""
    line: int = 0
    """Counted from 1; 0 is not known."""
    column: int = 0
    """The same; known only within code."""

    def __str__(self) -> str:
        source = ":".join(map(str, filter(None, (self.source, self.line, self.column))))
        return ": ".join(part for part in (source, self.recipe, self.path, self.message) if part)


class Loaded(msgspec.Struct, frozen=True):
    """What came out of one or more files."""

    recipes: tuple[RecipeSpec, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that disable something."""
        return tuple(diagnostic for diagnostic in self.diagnostics if diagnostic.severity == "error")


def source_of(path: Path) -> str:
    r"""Return a path as text that can be written anywhere: a byte that is no UTF-8 becomes `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint naming the known word that is nearest, or an empty string."""
    found = difflib.get_close_matches(word[:80].lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def shown_path(path: str) -> str:
    """Return a path as it may stand in a message: quoted, whole, since its end tells it from others."""
    return ascii(path if len(path) <= _LONGEST_PATH else path[: _LONGEST_PATH - 3] + "...")


def shown(text: str) -> str:
    """Return text as it may stand in a message: quoted, short, without control characters."""
    return ascii(text if len(text) <= 60 else text[:57] + "...")
