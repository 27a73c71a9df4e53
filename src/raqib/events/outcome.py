"""After the last reaction of an event, an event of its own says what was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from raqib.model.clock import rfc3339
from raqib.model.event import Event
from raqib.model.execution import Finished

_MOST = 10_000


@dataclass(slots=True)
class _Open:
    """An event whose outcome has not been published yet."""

    event: Event
    """Only what the outcome repeats of it."""
    expected: int
    done: list[Finished] = field(default_factory=list)
    printable: bool = False
    """Whether the event itself is in the line of every printer that had room for it."""
    dropped_by: Sequence[str] = ()

    @property
    def note(self) -> str | None:
        if not self.dropped_by:
            return None
        return f"no room was left for the event itself at {', '.join(self.dropped_by)}"


class Outcomes:
    """Collects what reactions of one event report, and publishes it: after the event itself, whatever came first."""

    def __init__(self, publish: Callable[[Event], object]) -> None:
        """`publish` hands an event to the printers, each of which keeps the order."""
        self._publish = publish
        self._open: dict[str, _Open] = {}

    def expect(self, event: Event, reactions: int) -> None:
        """Wait for so many reactions of an event, and for `submitted`."""
        while len(self._open) >= _MOST:
            self._open.pop(next(iter(self._open)))
        told = Event(event.uuid, event.timestamp, event.event_type, event.metadata, process=event.process)
        self._open[event.uuid] = _Open(told, reactions)

    def submitted(self, uuid: str, dropped_by: Sequence[str] = ()) -> None:
        """Hear that the event is in the line of every printer but those; reactions may be over already.

        Who finds the outcome alone must not look for the event: the outcome says so. More may drop it until then.
        """
        entry = self._open.get(uuid)
        if entry is not None:
            entry.printable = True
            entry.dropped_by = dropped_by
            self._conclude(entry)

    def add(self, finished: Finished) -> None:
        """Take in a reaction that is over."""
        entry = self._open.get(finished.uuid)
        if entry is not None:
            entry.done.append(finished)
            self._conclude(entry)

    def _conclude(self, entry: _Open) -> None:
        if not entry.printable or len(entry.done) < entry.expected:
            return
        event = entry.event
        del self._open[event.uuid]
        reactions = sorted(entry.done, key=lambda finished: finished.reaction)
        self._publish(
            Event(
                uuid=event.uuid,
                timestamp=rfc3339(time.time_ns()),
                event_type="outcome",
                metadata=msgspec.structs.replace(event.metadata, format="outcome"),
                process=event.process,
                note=entry.note,
                fields={"reactions": msgspec.Raw(msgspec.json.encode(reactions))},
            )
        )
