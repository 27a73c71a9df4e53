"""Detections for which there is no room are counted, and told in one event as soon as there is room again."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
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


class CountedDetections:
    """Detections of one recipe that are told as one event."""

    def __init__(self, recipe: RecipeInfo, now: float) -> None:
        self.recipe = recipe
        self.since = now
        self.count = 0
        self.first = self.last = ""
        self.examples: dict[Hashable, CountedExample] = {}

    def add(self, detection: Detection, kind: Hashable) -> None:
        """Count one; of each `kind` there is one example, as long as there is room for some."""
        event, process = detection.event, detection.process
        self.count += 1
        self.first = min(self.first or event.timestamp, event.timestamp)
        self.last = max(self.last, event.timestamp)
        if len(self.examples) < _EXAMPLES and kind not in self.examples:
            self.examples[kind] = CountedExample(
                event.uuid,
                event.timestamp,
                process.pid,
                process.uid,
                process.image.exe.decode("utf-8", "replace")[:_LONGEST] or None,
                event.file.path[:_LONGEST] if event.file is not None and event.file.path is not None else None,
            )

    def absorb(self, other: CountedDetections) -> None:
        """Take over what another has counted."""
        self.count += other.count
        self.first = min(self.first or other.first, other.first)
        self.last = max(self.last, other.last)
        for kind, example in other.examples.items():
            if len(self.examples) < _EXAMPLES:
                self.examples.setdefault(kind, example)

    def event(self, why: str) -> Event:
        """Return the event that tells of them."""
        return repeated_event(
            self.recipe, self.count, RepeatedEvent(self.first, self.last, [*self.examples.values()]), why
        )


class Repeated:
    """Belongs to one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._log = structlog.get_logger()
        self._held: dict[str, CountedDetections] = {}

    def count(self, detection: Detection) -> None:
        """Count one that is not printed."""
        process = detection.process
        # Another user or program is worth more than the same again.
        self._of(detection.recipe).add(detection, (process.uid, process.image.exe))

    def absorb(self, held: CountedDetections) -> None:
        """Take over what is counted elsewhere and could not be told there."""
        self._of(held.recipe).absorb(held)

    def _of(self, recipe: RecipeInfo) -> CountedDetections:
        held = self._held.get(recipe.name)
        if held is None:
            held = self._held[recipe.name] = CountedDetections(recipe, self._clock())
            self._log.warning("detections are only counted: too much is waiting", recipe=recipe.name)
        return held

    def tell(
        self, is_calm: Callable[[str], bool], publish: Callable[[Event], bool], *, all_of_it: bool = False
    ) -> None:
        """Tell of each recipe that `is_calm` again; what `publish` has no room for stays counted."""
        for name, held in list(self._held.items()):
            due = all_of_it or self._clock() - held.since >= TELL_AFTER_S or is_calm(name)
            if due and publish(held.event("too much was waiting")):
                del self._held[name]
