"""Executions that wait for a worker: the important ones first, and never more than a given number."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from raqib.model.recipe import IMPORTANCES, Importance


class Waiter(Protocol):
    """What the queue must know of an execution."""

    @property
    def importance(self) -> Importance:
        """The recipe's importance."""

    @property
    def recipe(self) -> str:
        """The recipe's name."""


T = TypeVar("T", bound=Waiter)


class WaitingLine(Generic[T]):
    """First in, first out within each importance."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: dict[Importance, deque[T]] = {importance: deque() for importance in IMPORTANCES}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[T]:
        for importance in reversed(IMPORTANCES):
            yield from self._lines[importance]

    def put(self, waiter: T) -> T | None:
        """Add an execution; beyond the limit, return the one that had to give way (it may be the new one)."""
        self._lines[waiter.importance].append(waiter)
        return self._drop() if len(self) > self._limit else None

    def take(self) -> T | None:
        """Take the one whose turn it is."""
        for importance in reversed(IMPORTANCES):
            if self._lines[importance]:
                return self._lines[importance].popleft()
        return None

    def _drop(self) -> T:
        """Take out the latest of the recipe that waits most, among the least important."""
        line = next(self._lines[importance] for importance in IMPORTANCES if self._lines[importance])
        ((most, _),) = Counter(waiter.recipe for waiter in line).most_common(1)
        for index in range(len(line) - 1, -1, -1):
            if line[index].recipe == most:
                dropped = line[index]
                del line[index]
                return dropped
        raise AssertionError("a recipe that was counted is in the line")
