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


def epoch_of_boot(boot_ns: int, offset_ns: int) -> int:
    """Return a time of CLOCK_BOOTTIME as nanoseconds since the epoch, the same whenever it is asked for.

    `offset_ns` is what `boot_offset_ns` was once. Two looks at two clocks never agree to the nanosecond; only if the
    calendar was set meanwhile, by half a second or more, does the answer move, by whole seconds.
    """
    return boot_ns + offset_ns + round((boot_offset_ns() - offset_ns) / 10**9) * 10**9


def rfc3339_of_boot(boot_ns: int) -> str:
    """Return a time of CLOCK_BOOTTIME as RFC 3339 with nanoseconds, UTC."""
    return rfc3339(boot_ns + boot_offset_ns())
