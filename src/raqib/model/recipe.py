"""What the later stages need of a recipe: everything that does not take part in matching."""

from __future__ import annotations

from typing import Literal

import msgspec

Importance = Literal["none", "low", "medium", "high", "critical"]
Mode = Literal["off", "shadow", "alert", "dry_react", "react"]
ReactionFormat = Literal["js", "shell"]

IMPORTANCES: tuple[Importance, ...] = ("none", "low", "medium", "high", "critical")
"""Ascending."""


class Reaction(msgspec.Struct, frozen=True):
    """Code that runs when the recipe matches."""

    format: ReactionFormat
    code: str


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recipe's own limits, within the configuration's ceilings; None takes the default."""

    timeout_s: float | None = None
    heap_mib: int | None = None
    kills_per_minute: int | None = None
    blocks_per_minute: int | None = None


class RecipeInfo(msgspec.Struct, frozen=True):
    """A recipe's name, description and reactions."""

    kind: str
    name: str
    mechanism: str
    importance: Importance
    version: str = ""
    description: str = ""
    tactic: str = ""
    technique: str = ""
    subtechnique: str = ""
    documentation: str = ""
    tactic_id: str | None = None
    technique_id: str | None = None
    subtechnique_id: str | None = None
    mode: Mode = "react"
    limits: Limits = Limits()
    reactions: tuple[Reaction, ...] = ()
    builtin: bool = False
    source: str = ""
    """The file that it came from."""

    @property
    def reacts(self) -> bool:
        """Whether a match runs reactions."""
        return bool(self.reactions) and self.mode in ("react", "dry_react")
