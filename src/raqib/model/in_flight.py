"""What is on its way between a match and the last of printed and reacted: one budget in bytes that all stages share."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable
from typing import Final, NamedTuple

MAX_BYTES: Final = 32 << 20
_KEPT_PARTS: Final = 4
"""One of so many parts is kept for what is important."""


class Cost(NamedTuple):
    """What something takes, in bytes: by itself, and with what it shares with others."""

    own: int
    shared: int = 0
    with_whom: Hashable = None
    """The same for all that share; `shared` is counted once for them."""


class Who(NamedTuple):
    """On whose account it goes."""

    recipe: str
    uid: int | None = None


class Hold:
    """A share of the budget. Whoever holds what it stands for takes it once more, and releases it once."""

    __slots__ = ("_budget", "_cost", "_holders", "_who")

    def __init__(self, budget: InFlight, who: Who, cost: Cost) -> None:
        self._budget = budget
        self._who = who
        self._cost = cost
        self._holders = 1

    def acquire(self) -> None:
        """Count one more holder. From any thread."""
        with self._budget.lock:
            self._holders += 1

    def release(self) -> None:
        """Count one less; the last one gives the bytes back. From any thread."""
        with self._budget.lock:
            self._holders -= 1
            if not self._holders:
                self._budget.give_back(self._who, self._cost)


class InFlight:
    """The budget. A recipe, and a user within it, can take what leaves as much again to others, so nobody takes all.

    With its size, what a recipe has and what the user has of that must not exceed what is free: one user of one recipe
    gets a third at most, and whoever comes next always finds room. A part is kept for what is important.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.lock = threading.Lock()
        self._max_bytes = max_bytes
        self._used = 0
        self._by_recipe: Counter[str] = Counter()
        self._by_who: Counter[Who] = Counter()
        self._shared: Counter[tuple[Who, Hashable]] = Counter()

    @property
    def used(self) -> int:
        """How much is taken, in bytes."""
        return self._used

    def admit(self, who: Who, cost: Cost, *, important: bool = False) -> Hold | None:
        """Return a share, held once, or None if there is no room for it."""
        with self.lock:
            free = self._max_bytes - self._used - (0 if important else self._max_bytes // _KEPT_PARTS)
            size = self._size(who, cost)
            if self._by_recipe[who.recipe] + self._by_who[who] + size > free:
                self._forget(who)
                return None
            return self._charge(who, cost, size)

    def is_calm(self, who: Who) -> bool:
        """Tell whether a recipe has less than half of what it could have."""
        with self.lock:
            used = self._by_recipe[who.recipe]
            self._forget(who)
            return 4 * used <= self._max_bytes - self._max_bytes // _KEPT_PARTS - self._used + used

    def give_back(self, who: Who, cost: Cost) -> None:
        """Take a share back. Called by the last holder, who has the lock."""
        size = cost.own
        if cost.shared:
            place = (who, cost.with_whom)
            self._shared[place] -= 1
            if not self._shared[place]:
                del self._shared[place]
                size += cost.shared
        self._used -= size
        self._by_recipe[who.recipe] -= size
        self._by_who[who] -= size
        self._forget(who)

    def _size(self, who: Who, cost: Cost) -> int:
        known = not cost.shared or (who, cost.with_whom) in self._shared
        return cost.own + (0 if known else cost.shared)

    def _charge(self, who: Who, cost: Cost, size: int) -> Hold:
        if cost.shared:
            self._shared[who, cost.with_whom] += 1
        self._used += size
        self._by_recipe[who.recipe] += size
        self._by_who[who] += size
        return Hold(self, who, cost)

    def _forget(self, who: Who) -> None:
        """Keep no account that is empty: anybody can have many."""
        if not self._by_who[who]:
            del self._by_who[who]
        if not self._by_recipe[who.recipe]:
            del self._by_recipe[who.recipe]
