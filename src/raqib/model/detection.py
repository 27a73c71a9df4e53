"""A detection: a recipe that matched, the event that says so, and the very processes that it is about."""

from __future__ import annotations

import msgspec

from raqib.model.event import Event, with_base
from raqib.model.process import Process
from raqib.model.recipe import RecipeInfo


class Detection(msgspec.Struct, frozen=True):
    """What goes to printers and reactions."""

    recipe: RecipeInfo
    event: Event
    data_json: bytes
    """The event as JSON, without the alias `base`: whoever needs that makes it anew, and nothing is held twice."""
    ancestry: tuple[Process, ...]
    """Oldest first; the process of the event is the last."""
    timestamp_ns: int
    """CLOCK_BOOTTIME at which the kernel saw it."""
    by_hearsay: bool = False
    """It rests on names that no resolver of this host said: whoever made them up chose also the address."""

    @property
    def event_json(self) -> bytes:
        """The event as it is printed: one line without the newline."""
        return with_base(self.data_json)

    def without_background(self) -> Detection:
        """Return it with as little as its JSON does not say: for those that wait."""
        return msgspec.structs.replace(self, event=msgspec.structs.replace(self.event, background=None))

    @property
    def process(self) -> Process:
        """The process of the event."""
        return self.ancestry[-1]

    @property
    def parent(self) -> Process | None:
        """Its parent at the time of the event, if known."""
        return self.ancestry[-2] if len(self.ancestry) > 1 else None
