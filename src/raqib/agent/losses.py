"""What is lost is told: once when it begins, with who caused it, and once when it has ended, with how much it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, Final

import structlog

from raqib.events.agent_events import loss_event
from raqib.model.event import Event
from raqib.model.loss import Culprit, LossReport
from raqib.model.process import Process

QUIET_S: Final = 60.0
"""A loss has ended when for so long nothing more was lost: what goes on and off is one."""

MOST_AT_ONCE: Final = 64
"""What begins while so many go on is told as one for all of its kind, without a culprit."""


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
        tell: Callable[[LossReport], None],
        *,
        quiet_s: float = QUIET_S,
        most: int = MOST_AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tell` gets each report, at the moment that it is due."""
        self._tell = tell
        self._quiet_s = quiet_s
        self._most = most
        self._clock = clock
        self._episodes: dict[_Place, _Episode] = {}

    def begin(self, kind: str, culprit: Culprit | None = None) -> None:
        """Say that something begins to be lost; nothing happens if it is known to go on."""
        self._episode(kind, culprit)

    def count(self, kind: str, number: int, culprit: Culprit | None = None) -> None:
        """Count what was lost; what was not known to go on begins with it."""
        if number <= 0:
            return
        self._episode(kind, culprit, number)

    def environment_unread(self, process: Process) -> None:
        """Count a process whose environment could not be read."""
        self.count("environments", 1, Culprit(process.uid, process.uid, process))

    def end(self, kind: str, culprit: Culprit | None = None) -> None:
        """Say that it has ended; nothing happens if it was not going on."""
        self._end((kind, culprit.key if culprit else None))

    def end_quiet(self) -> None:
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
            self._tell(LossReport(kind, "begins", episode.culprit, episode.count, 0.0))

    def _end(self, place: _Place) -> None:
        episode = self._episodes.pop(place, None)
        if episode is not None:
            duration_s = episode.latest - episode.began
            self._tell(LossReport(place[0], "ended", episode.culprit, episode.count, duration_s))


def publish_losses(publish: Callable[[Event], object]) -> Losses:
    """Return losses each of which goes to the log and, as an event, to `publish`."""
    log = structlog.get_logger()

    def tell(report: LossReport) -> None:
        event = loss_event(report)
        details: dict[str, Any] = {"kind": report.kind, "count": report.count}
        if (culprit := report.culprit) is not None:
            details["uid"] = culprit.uid
            if culprit.process is not None and event.process is not None:
                details |= {"pid": culprit.process.pid, "exe": event.process.exe}
        log.warning(event.note, **details)
        publish(event)

    return Losses(tell)
