"""Tells what shell reactions do from what others do: a recipe that matches what a reaction starts would never rest.

What the daemon itself does is not told by the sensors at all, and workers can do nothing that is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from raqib.host.procfs import TICK_NS, read_stat
from raqib.model.process import Process

_MOST_KEPT = 1024
"""Shells; what they started may go on when they have ended."""


class OwnDoing:
    """Remembers the shells of reactions."""

    def __init__(self) -> None:
        self._shells: OrderedDict[int, tuple[int, str]] = OrderedDict()
        """By pid: when each started, in ticks, and which recipe it is of."""

    def started(self, pid: int, recipe: str) -> None:
        """Note the shell of a reaction of a recipe."""
        if (found := read_stat(pid)) is None:
            return
        self._shells[pid] = found.start_ticks, recipe
        self._shells.move_to_end(pid)
        while len(self._shells) > _MOST_KEPT:
            self._shells.popitem(last=False)

    def cause_of(self, ancestry: Sequence[Process]) -> str | None:
        """Return the recipe whose shell reaction is, or has started, the last of these processes; None for others."""
        if self._shells:
            for process in reversed(ancestry):
                ticks, recipe = self._shells.get(process.pid, (-1, ""))
                if ticks >= 0 and abs(process.key.start_ns // TICK_NS - ticks) <= 1:
                    return recipe
        return None
