"""Taking records in from the kernel side, so that none of them stops those behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import structlog

RECORDS_AT_ONCE = 128
"""Then the loop sees to everything else, signals too: what is left keeps the descriptor readable."""


class Consumed(Protocol):
    """What records wait in."""

    def consume(self, most: int | None) -> int:
        """Hand over what waits, no more than `most`; return their number."""


def take_in(source: Consumed, most: int = RECORDS_AT_ONCE) -> int:
    """Take in no more than `most` of what waits, and log what could not be handled.

    Returns their number, 0 if there are no more.
    """
    try:
        return source.consume(most)
    except ExceptionGroup as failed:
        for error in failed.exceptions:
            structlog.get_logger().error("a record could not be handled", problem=repr(error), exc_info=error)
        return most


def lost_of(counters: Mapping[str, int]) -> int:
    """Return how much the kernel side could not keep, of whatever kind."""
    return sum(value for name, value in counters.items() if name.startswith("lost_"))
