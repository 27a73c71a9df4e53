"""How much a recipe may do in a minute, and the breaker that opens when it wants more."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from raqib.model.execution import Budget

WINDOW_S = 60.0
_GRAIN_S = 0.1
"""Amounts of bytes that lie closer together are kept as one."""


class Budgets:
    """Counts the actions of each recipe over a sliding minute. May be used from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken: dict[tuple[Budget, str], deque[tuple[float, int]]] = {}
        """When how much was taken."""
        self._sums: Counter[tuple[Budget, str]] = Counter()
        self._open: dict[tuple[Budget, str], bool] = {}
        """The breakers that are open, and whether that was asked for already."""
        self._lock = threading.Lock()

    def spend(self, budget: Budget, recipe: str, limit: int, amount: int = 1) -> bool:
        """Take from a recipe's budget of `limit` a minute; False if nothing is left of it.

        Where anything is left the whole amount is given: a budget of bytes is overdrawn by one action at most.
        """
        key = (budget, recipe)
        with self._lock:
            self._forget_old(key)
            if self._sums[key] >= limit:
                self._open.setdefault(key, False)
                return False
            self._open.pop(key, None)
            self._add(key, amount)
            return True

    def charge(self, budget: Budget, recipe: str, amount: int) -> None:
        """Take from a recipe's budget what was used already."""
        with self._lock:
            self._add((budget, recipe), amount)

    def _forget_old(self, key: tuple[Budget, str]) -> None:
        taken = self._taken.setdefault(key, deque())
        while taken and taken[0][0] <= self._clock() - WINDOW_S:
            self._sums[key] -= taken.popleft()[1]

    def _add(self, key: tuple[Budget, str], amount: int) -> None:
        now, taken = self._clock(), self._taken.setdefault(key, deque())
        self._sums[key] += amount
        if amount == 1 or not taken or now - taken[-1][0] >= _GRAIN_S:
            taken.append((now, amount))
        else:
            taken[-1] = (taken[-1][0], taken[-1][1] + amount)

    def just_opened(self, budget: Budget, recipe: str) -> bool:
        """Tell whether the breaker has opened since it was last asked for; True once for each opening."""
        key = (budget, recipe)
        with self._lock:
            if self._open.get(key, True):
                return False
            self._open[key] = True
            return True
