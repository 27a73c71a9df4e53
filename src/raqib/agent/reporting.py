"""From a detection to printers and reactions, within the budget of what may be in flight."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from raqib.agent.publishing import IMPORTANT, Publisher
from raqib.control.statistics import Statistics
from raqib.events.build import without_surroundings
from raqib.events.surroundings import Surroundings
from raqib.model.clock import boottime_ns
from raqib.model.detection import Detection
from raqib.model.in_flight import Hold, Who
from raqib.model.process import Process, ProcessKey
from raqib.printers import Printers
from raqib.reactions.service import Held

_MOST_KEPT_BYTES: Final = 8 << 20


class Times(NamedTuple):
    """When a detection was where, in nanoseconds of CLOCK_BOOTTIME."""

    seen_ns: int
    """By the kernel."""
    matched_ns: int
    printed_ns: int
    """The same as `matched_ns` if it is only counted."""


class Kept:
    """The latest surroundings of processes: what was read of one after an event happened is true for that event."""

    def __init__(self, most_bytes: int = _MOST_KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[ProcessKey, Surroundings] = OrderedDict()

    def get(self, process: Process, seen_ns: int, make: Callable[[], Surroundings]) -> Surroundings:
        """Return the surroundings of a process, made anew unless there are some that hold."""
        known = self._kept.pop(process.key, None)
        if known is None or not known.holds_for(process, seen_ns):
            if known is not None:
                self._bytes -= known.size
            known = make()
            self._bytes += known.size
        self._kept[process.key] = known
        while self._bytes > self._most_bytes and self._kept:
            self._bytes -= self._kept.popitem(last=False)[1].size
        return known


def _nothing() -> None:
    pass


class Reacts(Protocol):
    """What is asked of the reactions."""

    def hold(self, detection: Detection, share: Hold | None = None) -> Held:
        """Take in all reactions of a detection's recipe; none runs before they are released."""
        ...

    async def drain(self) -> None:
        """Wait until nothing waits or runs."""
        ...


class Reporter:
    """Belongs to one event loop."""

    def __init__(
        self,
        printers: Printers,
        publisher: Publisher,
        reactions: Reacts,
        statistics: Statistics,
        on_detection: Callable[[Detection, Times], None],
    ) -> None:
        """`publisher` has the budget, and tells of what is only counted."""
        self._printers = printers
        self._publisher = publisher
        self._reactions = reactions
        self._statistics = statistics
        self._on_detection = on_detection
        self._tasks: set[asyncio.Task[None]] = set()

    def report(self, detection: Detection) -> None:
        """Print it and react to it; where there is no room, without its background, or counted only."""
        matched_ns = boottime_ns()
        who = Who(detection.recipe.name, detection.process.uid)
        important = detection.recipe.importance in IMPORTANT
        if self._publisher.alike is not None and self._publisher.alike.takes(detection):
            self._statistics.counted_alike(detection.recipe.name)
            self._react_unprinted(detection, matched_ns, important=important)
            return
        hold = self._publisher.budget.admit(who, detection.cost, important=important)
        if hold is None:
            detection = without_surroundings(detection)
            hold = self._publisher.budget.admit(who, detection.cost, important=important)
            if hold is None and self._printers.give_way():
                hold = self._publisher.budget.admit(who, detection.cost, important=important)
        if hold is None:
            self._count(detection, matched_ns, important=important)
            return
        try:
            self._hand_on(detection, hold, matched_ns, important=important)
        finally:
            hold.release()

    def _hand_on(self, detection: Detection, hold: Hold, matched_ns: int, *, important: bool) -> None:
        recipe = detection.recipe
        release: Callable[[], None] = _nothing
        if recipe.reacts:
            # Workers get ready while the printers write.
            self._publisher.outcomes.expect(detection.event, len(recipe.reactions))
            release = self._take_in(detection, important=important)
        handed = self._printers.submit(
            detection.event, detection.head_json, detection.shared_json, add_base=True, hold=hold
        )
        self._publisher.outcomes.submitted(detection.event.uuid, handed.dropped_by)
        hold.acquire()
        task = asyncio.get_running_loop().create_task(
            self._react(detection, hold, matched_ns, self._printers.printed(handed), release)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take_in(self, detection: Detection, *, important: bool) -> Callable[[], None]:
        """Hand it to the reactions: whole on an account of their own, else as little as their own line bounds."""
        who = Who(f"reactions of {detection.recipe.name}", detection.process.uid)
        hold = self._publisher.budget.admit(who, detection.cost, important=important)
        if hold is None:
            return self._reactions.hold(without_surroundings(detection)).release
        try:
            return self._reactions.hold(detection, hold).release
        finally:
            hold.release()

    def _count(self, detection: Detection, matched_ns: int, *, important: bool) -> None:
        """Count it for an event that tells of many; its reactions run, as far as their own line has room."""
        self._publisher.count(detection)
        self._statistics.counted(detection.recipe.name)
        self._react_unprinted(detection, matched_ns, important=important)

    def _react_unprinted(self, detection: Detection, matched_ns: int, *, important: bool) -> None:
        if detection.recipe.reacts:
            self._take_in(detection, important=important)()
        self._on_detection(detection, Times(detection.timestamp_ns, matched_ns, matched_ns))

    async def _react(
        self,
        detection: Detection,
        hold: Hold,
        matched_ns: int,
        printed: Awaitable[None],
        release: Callable[[], None],
    ) -> None:
        try:
            await printed
            printed_ns = boottime_ns()
            release()
            self._statistics.matched(detection.recipe.name, detection.timestamp_ns, printed_ns)
            self._on_detection(detection, Times(detection.timestamp_ns, matched_ns, printed_ns))
        finally:
            hold.release()

    async def drain(self) -> None:
        """Wait until all that has been detected is printed and reacted to."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        await self._reactions.drain()
