"""A detection: a recipe that matched, the event that says so, and the very processes that it is about."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from raqib.model.event import Event, with_base
from raqib.model.in_flight import Cost
from raqib.model.process import Process
from raqib.model.recipe import RecipeInfo

_OWN_BYTES = 6 << 10
"""What a detection takes beside texts: its objects, and whoever waits with it."""
_PROCESS_BYTES = 768
_TEXT_BYTES = 50
"""What each argument takes beside its letters."""


class Detection(msgspec.Struct, frozen=True):
    """What goes to printers and reactions."""

    recipe: RecipeInfo
    event: Event
    head_json: bytes
    """The event as JSON, without the alias `base` (whoever needs that makes it anew) and without what is shared."""
    ancestry: tuple[Process, ...]
    """Oldest first; the process of the event is the last."""
    timestamp_ns: int
    """CLOCK_BOOTTIME at which the kernel saw it."""
    shared_json: tuple[bytes, ...] = ()
    """What follows the head, in parts that detections of one process have in common."""
    shared: Cost = Cost(0)
    """What it takes for that."""
    by_hearsay: bool = False
    """It rests on names that no resolver of this host said: whoever made them up chose also the address."""

    @property
    def data_json(self) -> bytes:
        """The event as JSON, without the alias `base`."""
        return b"".join((self.head_json, *self.shared_json))

    @property
    def event_json(self) -> bytes:
        """The event as it is printed: one line without the newline."""
        return with_base(self.data_json)

    def without_background(self) -> Detection:
        """Return it with as little as its JSON does not say: for those that wait."""
        return msgspec.structs.replace(self, event=msgspec.structs.replace(self.event, background=None))

    @property
    def cost(self) -> Cost:
        """What it takes while it is in flight, in bytes."""
        own = _OWN_BYTES + 2 * len(self.head_json) + sum(map(weight, self.ancestry[-1:]))
        return self.shared._replace(own=own + self.shared.own)

    @property
    def process(self) -> Process:
        """The process of the event."""
        return self.ancestry[-1]

    @property
    def parent(self) -> Process | None:
        """Its parent at the time of the event, if known."""
        return self.ancestry[-2] if len(self.ancestry) > 1 else None


@lru_cache(maxsize=128)
def weight(process: Process) -> int:
    """Return what a process takes in memory with its description, in bytes."""
    images = (process.image, process.previous) if process.previous is not None else (process.image,)
    texts = [text for image in images for text in (image.exe, image.loader, *image.args)] + [*process.envs]
    # As bytes, as text, and in one line.
    return _PROCESS_BYTES + sum(3 * len(text) + 2 * _TEXT_BYTES for text in texts)
