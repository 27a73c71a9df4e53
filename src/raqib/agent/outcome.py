"""After the last reaction of an event, an event of its own says what was done."""

from __future__ import annotations

import time

import msgspec

from raqib.model.clock import rfc3339
from raqib.model.event import Event
from raqib.reactions import Finished

_MOST = 10_000


class Outcomes:
    """Collects what reactions of one event report."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Event, int, list[Finished]]] = {}
        """The events without all that is not told again."""

    def expect(self, event: Event, reactions: int) -> None:
        """Wait for so many reactions of an event."""
        while len(self._open) >= _MOST:
            self._open.pop(next(iter(self._open)))
        told = Event(event.uuid, event.timestamp, event.event_type, event.metadata, process=event.process)
        self._open[event.uuid] = (told, reactions, [])

    def add(self, finished: Finished) -> Event | None:
        """Return the outcome event if this was the last reaction of its event."""
        entry = self._open.get(finished.uuid)
        if entry is None:
            return None
        event, expected, done = entry
        done.append(finished)
        if len(done) < expected:
            return None
        del self._open[finished.uuid]
        return Event(
            uuid=event.uuid,
            timestamp=rfc3339(time.time_ns()),
            event_type="outcome",
            metadata=msgspec.structs.replace(event.metadata, format="outcome"),
            process=event.process,
            fields={"reactions": msgspec.Raw(msgspec.json.encode(sorted(done, key=lambda one: one.reaction)))},
        )
