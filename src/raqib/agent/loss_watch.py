"""Asks the kernel side what was lost, and who floods."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from raqib.agent.losses import Losses
from raqib.model.loss import Culprit
from raqib.model.process import Process, ProcessKey
from raqib.sensors.accounts import OTHERS, Lost
from raqib.sensors.intake import lost_of

FLOOD_WINDOW_S: Final = 10.0
FLOOD_RECORDS: Final = 20_000
"""A process is a flood if so many records of it were taken in within the window, and four times as many as of all
others together: a build or an upgrade is far below that."""
_FLOOD_RATIO: Final = 4


class Sensor(Protocol):
    """What is asked of the file sensor."""

    def lost(self) -> list[Lost]:
        """Return what was lost since this was last asked."""
        ...

    def heaviest(self) -> tuple[ProcessKey, int, int] | None:
        """Return the process of which most records were taken in since this was last asked, how many, and of others."""
        ...


class LossWatch:
    """Belongs to one event loop."""

    def __init__(
        self,
        sensor: Sensor,
        find: Callable[[ProcessKey], Process | None],
        losses: Losses,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`find` looks a process up; `losses` counts what is found."""
        self._sensor = sensor
        self._find = find
        self._losses = losses
        self._clock = clock
        self._flood_checked = clock()
        self._named = self._nameless = 0

    def check(self) -> None:
        """Ask the file sensor: to be called now and then."""
        for lost in self._sensor.lost():
            self._losses.count(lost.kind, lost.count, self._culprit(lost.uid, lost.process))
        if self._clock() - self._flood_checked >= FLOOD_WINDOW_S:
            self._flood_checked = self._clock()
            self._check_for_flood()

    def check_network(self, counters: dict[str, int], by_user: Sequence[Lost] = ()) -> None:
        """Take in what the network's programs lost: of whom, as far as that is known, and the rest."""
        for lost in by_user:
            self._losses.count(lost.kind, lost.count, self._culprit(lost.uid, lost.process))
        self._named += sum(lost.count for lost in by_user)
        nameless = max(lost_of(counters) - self._named, self._nameless)
        self._losses.count("network", nameless - self._nameless)
        self._nameless = nameless

    def _check_for_flood(self) -> None:
        heaviest = self._sensor.heaviest()
        if heaviest is None:
            return
        key, count, others = heaviest
        if count >= FLOOD_RECORDS and count >= _FLOOD_RATIO * others:
            process = self._find(key)
            self._losses.count("flood", count, Culprit(key, process.uid if process else None, process))

    def _culprit(self, uid: int, key: ProcessKey) -> Culprit:
        """Short processes of one user count as one: so the user stands for them, with the latest."""
        return Culprit(uid, None if uid == OTHERS else uid, self._find(key))
