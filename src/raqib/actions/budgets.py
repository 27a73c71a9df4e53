"""How much a recipe may do in a minute."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

Budget = Literal["kills", "blocks"]

WINDOW_S = 60.0


class Budgets:
    """Counts the actions of each recipe over a sliding minute. May be used from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken: dict[tuple[Budget, str], deque[float]] = {}
        self._lock = threading.Lock()

    def take(self, budget: Budget, recipe: str, limit: int) -> bool:
        """Take one action from a recipe's budget of `limit` a minute; False if nothing is left of it."""
        now = self._clock()
        with self._lock:
            taken = self._taken.setdefault((budget, recipe), deque())
            while taken and taken[0] <= now - WINDOW_S:
                taken.popleft()
            if len(taken) >= limit:
                return False
            taken.append(now)
            return True
