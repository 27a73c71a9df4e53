"""What printers and reactions had to drop becomes an event when it begins, and one when it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec
import structlog

from raqib.agent.losses import Losses, Notice
from raqib.events.build import uuid7
from raqib.model.clock import rfc3339
from raqib.model.event import Event, Metadata
from raqib.printers import Counts

_PRINTER = "printer_"
REACTIONS = "reactions"


class DroppedEvent(msgspec.Struct, frozen=True):
    """What an event carries in `fields.loss`."""

    kind: str
    """`reactions`, or `printer_` and the printer's name."""
    state: str
    count: int
    """So far; at the end: all."""
    duration_s: float


class Dropped:
    """Belongs to one event loop."""

    def __init__(self, counts: Callable[[], Mapping[str, Counts]], publish: Callable[[Event], object]) -> None:
        """`counts` tells what became of events, by printer; `publish` prints."""
        self._counts = counts
        self._publish = publish
        self._known: dict[str, int] = {}
        self._log = structlog.get_logger()
        self._losses = Losses(self._told)

    def reaction(self) -> None:
        """Count a reaction that had to give way."""
        self._losses.counted(REACTIONS, 1)

    def look(self) -> None:
        """Look once: to be called now and then."""
        for name, counts in self._counts().items():
            lost, self._known[name] = counts.dropped - self._known.get(name, 0), counts.dropped
            self._losses.counted(_PRINTER + name, lost)
        self._losses.look()

    def close(self) -> None:
        """Look a last time; everything has ended."""
        self.look()
        self._losses.close()

    def _told(self, notice: Notice) -> None:
        carried = DroppedEvent(notice.kind, notice.state, notice.count, round(notice.duration_s, 3))
        note = _words(notice)
        self._log.warning(note, kind=notice.kind, count=notice.count)
        self._publish(
            Event(
                uuid=uuid7(),
                timestamp=rfc3339(time.time_ns()),
                event_type="agent",
                metadata=Metadata(kind="agent", name=f"loss_{notice.kind}", format="agent", importance="high"),
                note=note,
                fields={"loss": msgspec.Raw(msgspec.json.encode(carried))},
            )
        )


def _words(notice: Notice) -> str:
    if notice.kind == REACTIONS:
        words = "reactions are dropped: more wait for a worker than there is room for"
    else:
        name = notice.kind.removeprefix(_PRINTER)
        words = f"the printer {name!r} loses events: more wait for it than there is room for"
    ended = f"it has ended, {notice.count} in {notice.duration_s:.0f} s: " if notice.state == "ended" else ""
    return ended + words
