"""The cadence: in a steady rhythm, what did not fit into the ring buffer is picked up, and what was lost is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from raqib.sensors.intake import lost_of


class Swept(Protocol):
    """What the cadence asks of the sensor."""

    def sweep(self) -> int:
        """Deliver what is pending in the kernel's maps; return how many files that were."""

    def counters(self) -> Mapping[str, int]:
        """Return what the kernel side counted."""


class Cadence:
    """Belongs to one event loop."""

    def __init__(self, interval_s: float, sensor: Swept, *also: Callable[[], None]) -> None:
        """`also` is called in the same rhythm."""
        self._interval_s = interval_s
        self._sensor = sensor
        self._also = also
        self._lost = 0
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Go on until it is cancelled, whatever happens in a round."""
        while True:
            await asyncio.sleep(self._interval_s)
            self.look_around()

    def look_around(self) -> None:
        """Do one round; what fails holds up nothing else."""
        for one in (*self._also, self._sweep):
            try:
                one()
            except Exception as error:
                # Without further rounds, what does not fit into the ring buffer would never be seen.
                self._log.error("a sweep failed, the next one follows", problem=repr(error), exc_info=error)

    def _sweep(self) -> None:
        if count := self._sensor.sweep():
            self._log.warning("records were late: the ring buffer was full", files=count)
        counters = self._sensor.counters()
        lost = lost_of(counters)
        if lost != self._lost:
            self._lost = lost
            self._log.warning("accesses were lost in the kernel", **counters)
