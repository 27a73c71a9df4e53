"""An exception, as checked."""

from __future__ import annotations

import hashlib

import msgspec

from raqib.model.excepted import Excepted
from raqib.model.recipe import RecipeInfo
from raqib.recipes.diagnostic import Diagnostic
from raqib.recipes.spec import Item

PROTECTED_KIND = "agent_tampering"
"""Built-in recipes of this kind are raqib's own protection."""


class ExceptionRule(msgspec.Struct, frozen=True):
    """Events of some recipes that are normal here."""

    recipe: str
    """A pattern of names, or `kind:`, `tactic:`, `technique:`, `importance:` and a pattern."""
    when: tuple[Item, ...]
    """All must hold. One that is not pertinent holds where the fact is known and the test fails."""
    reason: str
    until: str = ""
    """As written."""
    until_s: float | None = None
    """Seconds since 1970 at which it ends; None: it does not."""
    source: str = ""
    line: int = 0

    @property
    def id(self) -> str:
        """The same for as long as it is about the same recipes and says the same of when."""
        what = msgspec.json.encode((self.recipe, self.when))
        return hashlib.sha256(what).hexdigest()[:8]

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.source}:{self.line}" if self.line else self.source

    @property
    def told(self) -> Excepted:
        """What is told of it where it holds."""
        return Excepted(self.id, self.place, self.reason)

    def has_ended(self, now_s: float) -> bool:
        """Tell whether its end date is past, in seconds since 1970."""
        return self.until_s is not None and now_s >= self.until_s


class Rules(msgspec.Struct, frozen=True):
    """What came out of one or more files."""

    rules: tuple[ExceptionRule, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return any(diagnostic.severity == "error" for diagnostic in self.diagnostics)


def is_protected(recipe: RecipeInfo) -> bool:
    """Tell whether no exception covers a recipe: it watches over raqib itself."""
    return recipe.builtin and recipe.kind == PROTECTED_KIND
