"""How much a recipe may do in a minute, and the breaker that opens when it wants more."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec

Budget = Literal["kills", "blocks"]

WINDOW_S = 60.0


class BreakerOpened(msgspec.Struct, frozen=True):
    """A recipe wanted more than its budget. Nothing is said again before it was within the budget once more."""

    kind: str
    recipe: str
    importance: str
    budget: Budget
    limit: int
    """Actions a minute."""
    uuid: str
    """Of the event whose reaction wanted it."""


class Budgets:
    """Counts the actions of each recipe over a sliding minute. May be used from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken: dict[tuple[Budget, str], deque[float]] = {}
        self._open: dict[tuple[Budget, str], bool] = {}
        """The breakers that are open, and whether that was asked for already."""
        self._lock = threading.Lock()

    def take(self, budget: Budget, recipe: str, limit: int) -> bool:
        """Take one action from a recipe's budget of `limit` a minute; False if nothing is left of it."""
        now = self._clock()
        key = (budget, recipe)
        with self._lock:
            taken = self._taken.setdefault(key, deque())
            while taken and taken[0] <= now - WINDOW_S:
                taken.popleft()
            if len(taken) >= limit:
                self._open.setdefault(key, False)
                return False
            self._open.pop(key, None)
            taken.append(now)
            return True

    def just_opened(self, budget: Budget, recipe: str) -> bool:
        """Tell whether the breaker has opened since it was last asked for; True once for each opening."""
        key = (budget, recipe)
        with self._lock:
            if self._open.get(key, True):
                return False
            self._open[key] = True
            return True
