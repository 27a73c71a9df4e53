"""The ancestors of a process, also through those that have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raqib.model.process import Process, ProcessKey

_MOST = 64


class LiveAncestry:
    """The ancestors as they are now: made for one observation, since a process may execve or end meanwhile."""

    def __init__(self, find: Callable[[ProcessKey], Process | None]) -> None:
        """`find` looks a process up, living or not."""
        self._find = find
        self._found: list[Process] | None = None

    def ancestors(self, process: Process) -> Sequence[Process]:
        """Return the ancestors, nearest first, without the process itself. Looked up when first asked for."""
        if self._found is None:
            self._found = self._look_up(process)
        return self._found

    def _look_up(self, process: Process) -> list[Process]:
        found: list[Process] = []
        seen = {process.key}
        parent = process.parent
        while parent.pid and parent not in seen and len(found) < _MOST:
            ancestor = self._find(parent)
            if ancestor is None:
                break
            found.append(ancestor)
            seen.add(parent)
            parent = ancestor.parent
        return found
