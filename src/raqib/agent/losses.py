"""What is lost is told: once when it begins, with who caused it, and once when it has ended, with how much it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final, Literal, NamedTuple

import msgspec

from raqib.model.process import Process

QUIET_S: Final = 60.0
"""A loss has ended when for so long nothing more was lost: what goes on and off is one."""

MOST_AT_ONCE: Final = 64
"""What begins while so many go on is told as one for all of its kind, without a culprit."""


class Culprit(NamedTuple):
    """Who caused it, or whom it befell."""

    key: Hashable
    """Who counts as the same."""
    uid: int | None = None
    process: Process | None = None


class Notice(msgspec.Struct, frozen=True):
    """What is to be told."""

    kind: str
    state: Literal["begins", "ended"]
    culprit: Culprit | None
    count: int
    """So far; at the end: all."""
    duration_s: float


class _Episode:
    def __init__(self, culprit: Culprit | None, now: float) -> None:
        self.culprit = culprit
        self.began = self.latest = now
        self.count = 0


_Place = tuple[str, Hashable]


class Losses:
    """Belongs to one thread."""

    def __init__(
        self,
        tell: Callable[[Notice], None],
        *,
        quiet_s: float = QUIET_S,
        most: int = MOST_AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tell` gets each notice, at the moment that it is due."""
        self._tell = tell
        self._quiet_s = quiet_s
        self._most = most
        self._clock = clock
        self._episodes: dict[_Place, _Episode] = {}

    def begins(self, kind: str, culprit: Culprit | None = None) -> None:
        """Say that something begins to be lost; nothing happens if it is known to go on."""
        self._episode(kind, culprit)

    def counted(self, kind: str, number: int, culprit: Culprit | None = None) -> None:
        """Count what was lost; what was not known to go on begins with it."""
        if number <= 0:
            return
        self._episode(kind, culprit, number)

    def ends(self, kind: str, culprit: Culprit | None = None) -> None:
        """Say that it has ended; nothing happens if it was not going on."""
        self._end((kind, culprit.key if culprit else None))

    def look(self) -> None:
        """End what has been quiet for long enough: to be called now and then."""
        now = self._clock()
        for place, episode in list(self._episodes.items()):
            if now - episode.latest >= self._quiet_s:
                self._end(place)

    def close(self) -> None:
        """End everything."""
        for place in list(self._episodes):
            self._end(place)

    def _episode(self, kind: str, culprit: Culprit | None, number: int = 0) -> None:
        now = self._clock()
        place = (kind, culprit.key if culprit else None)
        if place not in self._episodes and len(self._episodes) >= self._most:
            place, culprit = (kind, None), None
        episode = self._episodes.get(place)
        begins = episode is None
        if episode is None:
            episode = self._episodes[place] = _Episode(culprit, now)
        episode.latest = now
        episode.count += number
        if begins:
            self._tell(Notice(kind, "begins", episode.culprit, episode.count, 0.0))

    def _end(self, place: _Place) -> None:
        episode = self._episodes.pop(place, None)
        if episode is not None:
            duration_s = episode.latest - episode.began
            self._tell(Notice(place[0], "ended", episode.culprit, episode.count, duration_s))
