"""What a printer is."""

from __future__ import annotations

from typing import Protocol

import msgspec

from raqib.model.event import Event


class Printer(Protocol):
    """A place that events go to. It is called from one thread of its own, which it may keep waiting."""

    @property
    def name(self) -> str:
        """Its name in the configuration, and in counts and logs."""

    @property
    def local(self) -> bool:
        """Whether reactions wait, for a short time, until it has written."""

    @property
    def compact(self) -> bool:
        """Whether it gets the compact form of events as JSON, unless everything is asked for; else the whole one."""

    @property
    def reads_events(self) -> bool:
        """Whether it needs the event beside its JSON; both are kept while it waits."""

    def print(self, event: Event | None, line: bytes) -> None:
        """Write one event. `line` is its JSON without a newline; `event` is None if the printer `reads_events` not.

        Whatever it raises is counted as a failure.
        """

    def close(self) -> None:
        """Write what is held back and free what is held.

        Called once: after the last `print`, or, from another thread, to break off one that does not return.
        """


class Counts(msgspec.Struct, frozen=True):
    """What became of the events that a printer was handed."""

    written: int
    failed: int
    dropped: int
    """Because its queue was full, or it was closed."""
    waiting: int
    """Now in its queue."""


class VoidPrinter:
    """Takes events and forgets them: for measuring, and for running reactions without output."""

    name = "void"
    local = False
    compact = False
    reads_events = False

    def print(self, event: Event | None, line: bytes) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
