"""A detection: a recipe that matched, the event that says so, and the very processes that it is about."""

from __future__ import annotations

import msgspec

from raqib.model.event import Event
from raqib.model.process import Process
from raqib.model.recipe import RecipeInfo


class Detection(msgspec.Struct, frozen=True):
    """What goes to printers and reactions."""

    recipe: RecipeInfo
    event: Event
    event_json: bytes
    """The event as it was printed: one line without the newline."""
    data_json: bytes
    """The same without the alias `base`, which a reaction's own side makes anew."""
    ancestry: tuple[Process, ...]
    """Oldest first; the process of the event is the last."""
    timestamp_ns: int
    """CLOCK_BOOTTIME at which the kernel saw it."""

    @property
    def process(self) -> Process:
        """The process of the event."""
        return self.ancestry[-1]

    @property
    def parent(self) -> Process | None:
        """Its parent at the time of the event, if known."""
        return self.ancestry[-2] if len(self.ancestry) > 1 else None
