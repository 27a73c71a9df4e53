"""What printers had to drop is counted as a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raqib.agent.losses import Losses
from raqib.events.agent_events import PRINTER
from raqib.printers import Counts


class PrinterLosses:
    """Belongs to one event loop."""

    def __init__(self, counts: Callable[[], Mapping[str, Counts]], losses: Losses) -> None:
        """`counts` returns what became of events, by printer."""
        self._counts = counts
        self._losses = losses
        self._known: dict[str, int] = {}

    def check(self) -> None:
        """Count what was dropped since the last time: to be called now and then."""
        for name, counts in self._counts().items():
            lost, self._known[name] = counts.dropped - self._known.get(name, 0), counts.dropped
            self._losses.count(PRINTER + name, lost)
