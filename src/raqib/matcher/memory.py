"""What has been reported: one event for each process, file and recipe. Bounded; the oldest process goes first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from raqib.model.process import ProcessKey

MAX_ENTRIES: Final = 262_144

_Entry = tuple[bytes, str]


class Reported:
    """A set of (process, file, recipe) that forgets by process."""

    def __init__(self, capacity: int = MAX_ENTRIES) -> None:
        self._capacity = capacity
        self._size = 0
        self._processes: OrderedDict[ProcessKey, OrderedDict[_Entry, None]] = OrderedDict()

    def __contains__(self, entry: tuple[ProcessKey, bytes, str]) -> bool:
        process, path, recipe = entry
        known = self._processes.get(process)
        return known is not None and (path, recipe) in known

    def __len__(self) -> int:
        return self._size

    def add(self, process: ProcessKey, path: bytes, recipe: str) -> None:
        """Remember one; the process counts as the latest."""
        known = self._processes.setdefault(process, OrderedDict())
        if (path, recipe) not in known:
            known[path, recipe] = None
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
