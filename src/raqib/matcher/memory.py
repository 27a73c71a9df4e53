"""What has been reported: one event for each process, file or peer, and recipe.

Bounded, in bytes as well: names may be long, so only their hashes are kept. The oldest process goes, unless one has
more than half: then its own oldest goes, so that a flood makes no one else's events come again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from raqib.model.process import ProcessKey

MAX_ENTRIES: Final = 32_768


def _entry(what: Hashable, recipe: str) -> int:
    """Return 64 bits that nobody outside can predict: Python hashes texts and bytes with a key of its own."""
    return hash((what, recipe))


class Reported:
    """A set of (process, file or peer, recipe) that forgets by process."""

    def __init__(self, capacity: int = MAX_ENTRIES) -> None:
        self._capacity = capacity
        self._size = 0
        self._processes: OrderedDict[ProcessKey, OrderedDict[int, None]] = OrderedDict()

    def __contains__(self, entry: tuple[ProcessKey, Hashable, str]) -> bool:
        process, what, recipe = entry
        known = self._processes.get(process)
        return known is not None and _entry(what, recipe) in known

    def __len__(self) -> int:
        return self._size

    def add(self, process: ProcessKey, what: Hashable, recipe: str) -> None:
        """Remember one; the process counts as the latest."""
        known = self._processes.setdefault(process, OrderedDict())
        entry = _entry(what, recipe)
        if entry not in known:
            known[entry] = None
            self._size += 1
        self._processes.move_to_end(process)
        while self._size > self._capacity:
            self._drop(process if len(known) > self._capacity // 2 else next(iter(self._processes)))

    def _drop(self, process: ProcessKey) -> None:
        known = self._processes[process]
        known.popitem(last=False)
        self._size -= 1
        if not known:
            del self._processes[process]

    def forget(self, process: ProcessKey) -> None:
        """Forget a process that has ended."""
        self._size -= len(self._processes.pop(process, ()))
