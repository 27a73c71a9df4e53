"""What has been reported: one event for each process, file or peer, and recipe. Bounded, the oldest process goes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from raqib.model.process import ProcessKey

MAX_ENTRIES: Final = 32_768
"""Of a file or peer and a recipe only the hash is kept, which nobody outside can predict: names may be long."""


class Reported:
    """A set of (process, file or peer, recipe) that forgets by process."""

    def __init__(self, capacity: int = MAX_ENTRIES) -> None:
        self._capacity = capacity
        self._size = 0
        self._processes: OrderedDict[ProcessKey, OrderedDict[int, None]] = OrderedDict()

    def __contains__(self, entry: tuple[ProcessKey, Hashable, str]) -> bool:
        process, what, recipe = entry
        known = self._processes.get(process)
        return known is not None and hash((what, recipe)) in known

    def __len__(self) -> int:
        return self._size

    def add(self, process: ProcessKey, what: Hashable, recipe: str) -> None:
        """Remember one; the process counts as the latest."""
        known = self._processes.setdefault(process, OrderedDict())
        entry = hash((what, recipe))
        if entry not in known:
            known[entry] = None
            self._size += 1
        self._processes.move_to_end(process)
        while self._size > self._capacity:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        process, known = next(iter(self._processes.items()))
        known.popitem(last=False)
        self._size -= 1
        if not known:
            del self._processes[process]

    def forget(self, process: ProcessKey) -> None:
        """Forget a process that has ended."""
        self._size -= len(self._processes.pop(process, ()))
