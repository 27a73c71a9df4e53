"""Detections for which there is no room are counted, and told in one event as soon as there is room again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from raqib.events.agent_events import CountedExample, RepeatedEvent, repeated_event
from raqib.model.detection import Detection
from raqib.model.event import Event
from raqib.model.recipe import RecipeInfo

TELL_AFTER_S: Final = 60.0
"""A flood that does not end is told so often."""

_EXAMPLES: Final = 5
_LONGEST: Final = 256


class _Held:
    def __init__(self, recipe: RecipeInfo, now: float) -> None:
        self.recipe = recipe
        self.since = now
        self.count = 0
        self.first = self.last = ""
        self.examples: dict[tuple[object, ...], CountedExample] = {}


class Repeated:
    """Belongs to one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._log = structlog.get_logger()
        self._held: dict[str, _Held] = {}

    def count(self, detection: Detection) -> None:
        """Count one that is not printed."""
        event = detection.event
        held = self._held.get(detection.recipe.name)
        if held is None:
            held = self._held[detection.recipe.name] = _Held(detection.recipe, self._clock())
            self._log.warning("detections are only counted: too much is waiting", recipe=detection.recipe.name)
        held.count += 1
        held.first = min(held.first or event.timestamp, event.timestamp)
        held.last = max(held.last, event.timestamp)
        process = detection.process
        # Another user or program is worth more than the same again.
        alike = (process.uid, process.image.exe)
        if len(held.examples) < _EXAMPLES and alike not in held.examples:
            held.examples[alike] = CountedExample(
                event.uuid,
                event.timestamp,
                process.pid,
                process.uid,
                process.image.exe.decode("utf-8", "replace")[:_LONGEST] or None,
                event.file.path[:_LONGEST] if event.file is not None and event.file.path is not None else None,
            )

    def tell(
        self, is_calm: Callable[[str], bool], publish: Callable[[Event], bool], *, all_of_it: bool = False
    ) -> None:
        """Tell of each recipe that `is_calm` again; what `publish` has no room for stays counted."""
        for name, held in list(self._held.items()):
            due = all_of_it or self._clock() - held.since >= TELL_AFTER_S or is_calm(name)
            if due and publish(_event(held)):
                del self._held[name]


def _event(held: _Held) -> Event:
    return repeated_event(held.recipe, held.count, RepeatedEvent(held.first, held.last, [*held.examples.values()]))
