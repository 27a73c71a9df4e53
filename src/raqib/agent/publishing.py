"""Events that are no detections: on to the printers, within the budget of what may be in flight."""

from __future__ import annotations

from typing import Final

import structlog

from raqib.agent.alike import Alike
from raqib.agent.losses import publish_losses
from raqib.agent.printer_losses import PrinterLosses
from raqib.agent.repeated import Repeated
from raqib.events.agent_events import REACTIONS, breaker_event
from raqib.events.outcome import Outcomes
from raqib.model.detection import Detection
from raqib.model.event import Event, encode
from raqib.model.execution import BreakerOpened, Finished
from raqib.model.in_flight import Cost, Hold, InFlight, Who
from raqib.printers import Printers

_EVENT_BYTES: Final = 4 << 10
"""What an event takes beside its JSON."""
IMPORTANT: Final = ("high", "critical")


class Publisher:
    """Belongs to one event loop."""

    def __init__(self, printers: Printers, max_bytes: int, *, each: bool = False) -> None:
        """At most `max_bytes` are in flight; `each` prints all that are alike."""
        self._printers = printers
        self.budget = InFlight(max_bytes)
        """What detections and all other events have in common."""
        self.outcomes = Outcomes(self.print)
        self.losses = publish_losses(self.print)
        """Counts what is lost anywhere, and tells of it."""
        self._printer_losses = PrinterLosses(lambda: printers.counts, self.losses)
        self._repeated = Repeated()
        self.alike = None if each else Alike(self._has_room_for, self._repeated.absorb)
        """Holds detections together that are like one that was printed."""
        self._log = structlog.get_logger()

    def print(self, event: Event) -> bool:
        """Print an event; return whether there was room: else it is counted as lost."""
        hold = self._admit(event)
        if hold is None:
            self._printers.miss()
            return False
        return True

    def _admit(self, event: Event) -> Hold | None:
        line = encode(event)
        uid = event.process.uid if event.process is not None and isinstance(event.process.uid, int) else None
        who = Who(f"{event.event_type} {event.metadata.name}", uid)
        important = event.metadata.importance in IMPORTANT
        hold = self.budget.admit(who, Cost(_EVENT_BYTES + 2 * len(line)), important=important)
        if hold is None and self._printers.give_way():
            hold = self.budget.admit(who, Cost(_EVENT_BYTES + 2 * len(line)), important=important)
        if hold is not None:
            self._printers.submit(event, line, hold=hold)
            hold.release()
        return hold

    def finished(self, finished: Finished) -> None:
        """Tell of a reaction that is over."""
        if finished.outcome == "dropped":
            self.losses.count(REACTIONS, 1)
        self.outcomes.add(finished)

    def breaker_opened(self, opened: BreakerOpened) -> None:
        """Tell of a budget that is used up."""
        event = breaker_event(opened)
        self._log.warning(event.note, recipe=opened.recipe, kind=opened.kind, uuid=opened.uuid)
        self.print(event)

    def count(self, detection: Detection) -> None:
        """Count a detection for an event that tells of many."""
        self._repeated.count(detection)

    def tell_counted(self) -> None:
        """Tell of what was counted and of what was lost: to be called now and then."""
        self._printer_losses.check()
        self.losses.end_quiet()
        if self.alike is not None:
            self.alike.tell_due()
        self._repeated.tell(lambda name: self.budget.is_calm(Who(name)), self._has_room_for)

    def _has_room_for(self, event: Event) -> bool:
        return self._admit(event) is not None

    def close(self) -> None:
        """Tell the rest."""
        self._printer_losses.check()
        self.losses.close()
        if self.alike is not None:
            self.alike.tell_due(all_of_it=True)
        self._repeated.tell(lambda name: True, self.print, all_of_it=True)
