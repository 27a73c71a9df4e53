"""Executions that wait for a worker: the important ones first, and never more than a given number and size."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from raqib.model.recipe import IMPORTANCES, Importance

IMPORTANT: tuple[Importance, ...] = ("high", "critical")
"""One more of these runs than of the others, which may all be busy for as long as they are allowed to."""


class Waiter(Protocol):
    """What the queue must know of an execution."""

    @property
    def importance(self) -> Importance:
        """The recipe's importance."""

    @property
    def recipe(self) -> str:
        """The recipe's name."""

    @property
    def size(self) -> int:
        """What it takes while it waits, in bytes."""


T = TypeVar("T", bound=Waiter)


class WaitingLine(Generic[T]):
    """First in, first out within each importance."""

    def __init__(self, limit: int, max_bytes: int) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lines: dict[Importance, deque[T]] = {importance: deque() for importance in IMPORTANCES}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[T]:
        for importance in reversed(IMPORTANCES):
            yield from self._lines[importance]

    @property
    def next_is_important(self) -> bool:
        """Whether the next one may use what is kept for important ones."""
        return any(self._lines[importance] for importance in IMPORTANT)

    def push(self, waiter: T) -> list[T]:
        """Add an execution; beyond a limit, return those that had to give way (the new one may be among them).

        One that waits alone may be of any size.
        """
        self._lines[waiter.importance].append(waiter)
        self._bytes += waiter.size
        dropped: list[T] = []
        while (count := len(self)) > self._limit or (self._bytes > self._max_bytes and count > 1):
            dropped.append(self._drop())
        return dropped

    def put_back(self, waiter: T) -> None:
        """Let one that was popped be the next of its importance; nobody gives way for it."""
        self._lines[waiter.importance].appendleft(waiter)
        self._bytes += waiter.size

    def pop(self) -> T | None:
        """Take out the next one."""
        for importance in reversed(IMPORTANCES):
            if self._lines[importance]:
                taken = self._lines[importance].popleft()
                self._bytes -= taken.size
                return taken
        return None

    def _drop(self) -> T:
        """Take out the latest of the recipe that waits most, among the least important."""
        line = next(self._lines[importance] for importance in IMPORTANCES if self._lines[importance])
        ((most, _),) = Counter(waiter.recipe for waiter in line).most_common(1)
        for index in range(len(line) - 1, -1, -1):
            if line[index].recipe == most:
                dropped = line[index]
                del line[index]
                self._bytes -= dropped.size
                return dropped
        raise AssertionError("a recipe that was counted is in the line")
