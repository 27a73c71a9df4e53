"""Detections that are alike are printed once, and then told together; reactions run for each all the same.

Alike are those of one recipe with the same executable, parent's executable, directory or peer, user and container. So
that nobody hides behind a dull first one, what is of importance high and above is printed at once if its file, its
arguments or its session are new.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from msgspec.structs import replace

from raqib.agent.repeated import CountedDetections
from raqib.model.detection import Detection
from raqib.model.event import Event

INTERVALS_S: Final = (10.0, 60.0, 600.0)
"""How long is counted before it is told: at first, then, and from then on."""
AT_ONCE_A_MINUTE: Final = 10
"""What is new and important within one kind is printed at once so often."""
MAX_KINDS: Final = 4096
"""Beyond it, the one that was used longest ago is told, and forgotten."""
MAX_NEWS: Final = 65_536
"""What was new is remembered so long, of all kinds together."""
_MINUTE_S: Final = 60.0
_TELL_EVERY_S: Final = 1.0
_IMPORTANT: Final = ("high", "critical")


class _Kind:
    """What is known of those that are alike."""

    def __init__(self, now: float) -> None:
        self.held: CountedDetections | None = None
        self.last: Event | None = None
        self.step = 0
        self.due = now + INTERVALS_S[0]
        self._minute = now
        self._at_once = 0

    def may_print(self, now: float) -> bool:
        """Take one of those that are printed at once, if there is one left in this minute."""
        if now - self._minute >= _MINUTE_S:
            self._minute, self._at_once = now, 0
        self._at_once += 1
        return self._at_once <= AT_ONCE_A_MINUTE

    def told(self, now: float) -> None:
        """Begin to count again, for longer."""
        self.held = self.last = None
        self.step = min(self.step + 1, len(INTERVALS_S) - 1)
        self.due = now + INTERVALS_S[self.step]


class Alike:
    """Belongs to one thread."""

    def __init__(
        self,
        publish: Callable[[Event], bool],
        give_up: Callable[[CountedDetections], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`publish` says whether there was room; `give_up` gets what has to be told and had none."""
        self._publish = publish
        self._give_up = give_up
        self._clock = clock
        self._kinds: OrderedDict[int, _Kind] = OrderedDict()
        self._news: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._told_at = clock()

    def takes(self, detection: Detection) -> bool:
        """Count a detection that is like another just before; return False if it is to be printed."""
        now = self._clock()
        # Of texts that attackers choose only hashes are kept, which nobody outside can predict.
        key = hash(_kind(detection))
        kind = self._kinds.get(key)
        if kind is None or (kind.held is None and now >= kind.due):
            self._kinds[key] = _Kind(now)
            self._kinds.move_to_end(key)
            self._is_new(key, detection)
            self._make_room()
            return False
        self._kinds.move_to_end(key)
        important = detection.recipe.importance in _IMPORTANT
        if important and self._is_new(key, detection):
            if kind.may_print(now):
                return False
            # It has not been seen yet: it is new again, as soon as one may be printed.
            self._news.popitem()
        if kind.held is None:
            kind.held = CountedDetections(detection.recipe, now)
        kind.held.add(detection, _what_is_new(detection))
        kind.last = detection.event
        return True

    def tell_due(self, *, all_of_it: bool = False) -> None:
        """Tell what is due: to be called now and then."""
        now = self._clock()
        if not all_of_it and now - self._told_at < _TELL_EVERY_S:
            return
        self._told_at = now
        for key, kind in list(self._kinds.items()):
            if not all_of_it and now < kind.due:
                continue
            if kind.held is None:
                del self._kinds[key]
            elif self._publish(_event(kind.held, kind.last)):
                kind.told(now)
            elif all_of_it:
                self._give_up(kind.held)
                kind.told(now)

    def _is_new(self, key: int, detection: Detection) -> bool:
        news = (key, _what_is_new(detection))
        if news in self._news:
            self._news.move_to_end(news)
            return False
        self._news[news] = None
        if len(self._news) > MAX_NEWS:
            self._news.popitem(last=False)
        return True

    def _make_room(self) -> None:
        while len(self._kinds) > MAX_KINDS:
            _, kind = self._kinds.popitem(last=False)
            if kind.held is not None and not self._publish(_event(kind.held, kind.last)):
                self._give_up(kind.held)


def _kind(detection: Detection) -> tuple[Hashable, ...]:
    event, process, parent = detection.event, detection.process, detection.parent
    what: Hashable = None
    if event.flow is not None:
        what = event.flow.remote.address if event.flow.remote is not None else None
    elif event.file is not None:
        what = event.file.dir
    return (
        detection.recipe.name,
        process.image.exe,
        parent.image.exe if parent is not None else None,
        what,
        process.uid,
        process.where.container if process.where is not None else None,
    )


def _what_is_new(detection: Detection) -> int:
    path = detection.event.file.path if detection.event.file is not None else None
    return hash((path, detection.process.image.args, _session(detection)))


def _session(detection: Detection) -> int:
    """Return the session of a process, or of the nearest of its ancestors that still lives; 0 is not known."""
    for process in reversed(detection.ancestry):
        try:
            return os.getsid(process.pid)
        except OSError:
            continue
    return 0


def _event(held: CountedDetections, last: Event | None) -> Event:
    event = held.event("they are like one that was")
    if last is None:
        return event
    return replace(event, process=last.process, file=last.file, flow=last.flow)
