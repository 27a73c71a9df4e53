"""Removals that notification tells of, compared with what the hooks told: what is left was missed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from raqib.model.actions import NO_ACTIONS, FileAction
from raqib.model.observation import FileObservation
from raqib.sensors.directories import Change

GONE = FileAction.UNLINK | FileAction.RENAME
"""The actions that notification tells of."""
_MOST_TOLD = 65536
_MOST_WAITING = 65536


class Removals:
    """Belongs to one thread."""

    def __init__(self, own_pid: int) -> None:
        """What `own_pid` does is left out."""
        self._own_pid = own_pid
        self._told: dict[tuple[int, bytes], FileAction] = {}
        self._told_before: dict[tuple[int, bytes], FileAction] = {}
        self.waiting: deque[Change] = deque(maxlen=_MOST_WAITING)
        """What is not compared yet."""

    def told(self, seen: FileObservation) -> None:
        """Take note of what the hooks told."""
        if seen.new & GONE and len(self._told) < _MOST_TOLD:
            for name in seen.names:
                place = (seen.process.pid, name)
                self._told[place] = self._told.get(place, NO_ACTIONS) | seen.new

    def gather(self, changes: Iterable[Change]) -> None:
        """Take what notification tells, to be compared once the hooks' records of that time are in."""
        self.waiting.extend(change for change in changes if change.pid != self._own_pid)

    def missed(self, most: int | None, interest: Callable[[bytes], FileAction]) -> list[Change]:
        """Return what the hooks did not tell, and somebody is interested in; no more than `most`."""
        found: list[Change] = []
        while self.waiting and (most is None or len(found) < most):
            change = self.waiting.popleft()
            place = (change.pid, change.path)
            told = self._told.get(place, NO_ACTIONS) | self._told_before.get(place, NO_ACTIONS)
            if change.actions & interest(change.path) & ~told:
                found.append(change)
        if not self.waiting:
            # A record may come a round before its notification.
            self._told_before, self._told = self._told, {}
        return found
