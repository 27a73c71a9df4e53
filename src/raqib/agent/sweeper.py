"""In a steady rhythm, what did not fit into the ring buffer is picked up, by portions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import structlog

_T = TypeVar("_T")


PORTION = 64
"""So many files that were late are delivered at once; then the loop sees to everything else."""

SAID_S = 60.0
"""How often it is said, at most, that records were late."""


class Swept(Protocol):
    """What the sweeper asks of a sensor."""

    @property
    def sweeping(self) -> bool:
        """Whether the last sweep ended before it had seen everything."""
        ...

    def sweep(self, most: int | None = None) -> int:
        """Deliver what is pending in the kernel's maps, no more than `most`; return how many files that were."""
        ...


class Sweeper:
    """Belongs to one event loop."""

    def __init__(self, interval_s: float, sensors: Iterable[Swept], *also: Callable[[], None]) -> None:
        """`also` is called in the same rhythm, before the sweep."""
        self._interval_s = interval_s
        self._sensors = tuple(sensors)
        self._also = also
        self._late = 0
        self._said_at: float | None = None
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Go on until it is cancelled, whatever happens in a round."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.run_round()

    async def run_round(self) -> None:
        """Do one round; what fails holds up nothing else."""
        for work in self._also:
            self._attempt(work)
        for sensor in self._sensors:
            self._sweep(sensor)
            while sensor.sweeping:
                await asyncio.sleep(0)
                self._sweep(sensor)
        if self._late and (self._said_at is None or time.monotonic() - self._said_at >= SAID_S):
            self._log.warning("records were late: the ring buffer was full", count=self._late)
            self._late, self._said_at = 0, time.monotonic()

    def _sweep(self, sensor: Swept) -> None:
        self._late += self._attempt(lambda: sensor.sweep(PORTION)) or 0

    def _attempt(self, work: Callable[[], _T]) -> _T | None:
        try:
            return work()
        except Exception as error:
            # Without further rounds, what does not fit into the ring buffer would never be seen.
            self._log.error("a sweep failed, the next one follows", problem=repr(error), exc_info=error)
            return None
