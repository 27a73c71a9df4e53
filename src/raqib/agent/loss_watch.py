"""Looks for losses and floods in the rhythm of the cadence, and makes events of them."""

from __future__ import annotations

import pwd
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
import structlog

from raqib.agent.losses import Culprit, Losses, Notice
from raqib.events.build import uuid7
from raqib.events.describe import process_info
from raqib.model.clock import rfc3339
from raqib.model.event import Event, Metadata
from raqib.model.process import Process, ProcessKey
from raqib.sensors.accounts import OTHERS, Lost
from raqib.sensors.intake import lost_of

FLOOD_WINDOW_S: Final = 10.0
FLOOD_RECORDS: Final = 20_000
"""A process is a flood if so many records of it were taken in within the window, and four times as many as of all
others together: a build or an upgrade is far below that."""
_FLOOD_RATIO: Final = 4

_WORDS = {
    "records": "what a process did has been lost: it did more than there was room for",
    "names": "names of files could not be read from a process's memory: what it did to them has been lost",
    "unresolved_names": "a process exceeds its budget of unresolved names: what it did to further ones is not told",
    "network": "records of the network have been lost: the ring buffer was full",
    "flood": "a process makes raqib work far more than all others together",
}


class Sensor(Protocol):
    """What is asked of the file sensor."""

    def lost(self) -> list[Lost]:
        """Return what was lost since this was last asked."""
        ...

    def heaviest(self) -> tuple[ProcessKey, int, int] | None:
        """Return the process of which most records were taken in since this was last asked, how many, and of others."""
        ...


class LossEvent(msgspec.Struct, frozen=True):
    """What an event carries in `fields.loss`."""

    kind: str
    state: str
    count: int
    duration_s: float
    uid: int | None
    user: str | None


class LossWatch:
    """Belongs to one event loop."""

    def __init__(
        self,
        sensor: Sensor,
        find: Callable[[ProcessKey], Process | None],
        publish: Callable[[Event], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`find` looks a process up; `publish` hands an event to the printers."""
        self._sensor = sensor
        self._find = find
        self._publish = publish
        self._clock = clock
        self._flood_looked = clock()
        self._named = self._nameless = 0
        self._log = structlog.get_logger()
        self.losses = Losses(self._told, clock=clock)

    def look(self) -> None:
        """Look once."""
        for one in self._sensor.lost():
            self.losses.counted(one.kind, one.count, self._culprit(one.uid, one.process))
        if self._clock() - self._flood_looked >= FLOOD_WINDOW_S:
            self._flood_looked = self._clock()
            self._look_for_flood()
        self.losses.look()

    def network(self, counters: dict[str, int], by_user: Sequence[Lost] = ()) -> None:
        """Take in what the network's programs lost: of whom, as far as that is known, and the rest."""
        lost = lost_of(counters)
        for one in by_user:
            self.losses.counted(one.kind, one.count, self._culprit(one.uid, one.process))
        self._named += sum(one.count for one in by_user)
        nameless = max(lost - self._named, self._nameless)
        self.losses.counted("network", nameless - self._nameless)
        self._nameless = nameless

    def _look_for_flood(self) -> None:
        heaviest = self._sensor.heaviest()
        if heaviest is None:
            return
        key, count, others = heaviest
        if count >= FLOOD_RECORDS and count >= _FLOOD_RATIO * others:
            process = self._find(key)
            self.losses.counted("flood", count, Culprit(key, process.uid if process else None, process))

    def _culprit(self, uid: int, key: ProcessKey) -> Culprit:
        """Short processes of one user count as one: so the user stands for them, with the latest."""
        return Culprit(uid, None if uid == OTHERS else uid, self._find(key))

    def _told(self, notice: Notice) -> None:
        event = loss_event(notice)
        who = notice.culprit
        details: dict[str, Any] = {"count": notice.count, "uid": who.uid if who else None}
        if who is not None and who.process is not None:
            details |= {"pid": who.process.pid, "exe": event.process and event.process.exe}
        self._log.warning(event.note, **details)
        self._publish(event)


def loss_event(notice: Notice) -> Event:
    """Return the `agent` event of a notice."""
    who = notice.culprit
    words = _WORDS.get(notice.kind, f"{notice.kind} have been lost")
    ended = notice.state == "ended"
    uid = who.uid if who else None
    carried = LossEvent(notice.kind, notice.state, notice.count, round(notice.duration_s, 3), uid, _user(uid))
    return Event(
        uuid=uuid7(),
        timestamp=rfc3339(time.time_ns()),
        event_type="agent",
        metadata=Metadata(kind="agent", name=f"loss_{notice.kind}", format="agent", importance="high"),
        note=f"it has ended, {notice.count} in {notice.duration_s:.0f} s: {words}" if ended else words,
        process=process_info(who.process) if who and who.process else None,
        fields={"loss": msgspec.Raw(msgspec.json.encode(carried))},
    )


def _user(uid: int | None) -> str | None:
    if uid is None:
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
