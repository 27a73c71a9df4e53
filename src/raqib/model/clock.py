"""The kernel's clock, and the calendar."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def boottime_ns() -> int:
    """Return CLOCK_BOOTTIME in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def boot_offset_ns() -> int:
    """Return what has to be added to CLOCK_BOOTTIME to have nanoseconds since the epoch."""
    return time.time_ns() - boottime_ns()


def rfc3339(epoch_ns: int) -> str:
    """Return nanoseconds since the epoch as RFC 3339 with nanoseconds, UTC."""
    seconds, nanoseconds = divmod(epoch_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def rfc3339_of_boot(boot_ns: int) -> str:
    """Return a time of CLOCK_BOOTTIME as RFC 3339 with nanoseconds, UTC."""
    return rfc3339(boot_ns + boot_offset_ns())
