"""The ancestors of a process, also through those that have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raqib.model.process import Process, ProcessKey

_MOST = 64


class Lineage:
    """Asks the kernel's process map, once for each process."""

    def __init__(self, find: Callable[[ProcessKey], Process | None]) -> None:
        self._find = find
        self._known: dict[ProcessKey, tuple[Process, ...]] = {}

    def ancestors(self, process: Process) -> Sequence[Process]:
        """Return the ancestors, nearest first, without the process itself."""
        known = self._known.get(process.key)
        if known is not None:
            return known
        found: list[Process] = []
        seen = {process.key}
        parent = process.parent
        while parent.pid and parent not in seen and len(found) < _MOST:
            one = self._find(parent)
            if one is None:
                break
            found.append(one)
            seen.add(parent)
            parent = one.parent
        self._known[process.key] = tuple(found)
        return found
