"""Recipes in mode `shadow` are counted only: how often they would have been seen goes to the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import structlog

from raqib.model.recipe import RecipeInfo

_EVERY_S = 60.0


class Shadows:
    """Counts matches by recipe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._told_at = clock()
        self._told: Counter[str] = Counter()
        self._log = structlog.get_logger()

    def count(self, recipe: RecipeInfo) -> None:
        """Count one match."""
        self.counts[recipe.name] += 1

    def tell_now_and_then(self) -> None:
        """Log the counts, if they have changed and the last time is a minute ago."""
        if self._clock() - self._told_at >= _EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Log the counts, if they have changed."""
        self._told_at = self._clock()
        if self.counts != self._told:
            self._told = self.counts.copy()
            self._log.info("matches of recipes in mode shadow, so far", matches=dict(self.counts))
