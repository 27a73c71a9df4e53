"""From the kernel's clock to the calendar."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def rfc3339(boot_ns: int) -> str:
    """Return a time of CLOCK_BOOTTIME as RFC 3339 with nanoseconds, UTC."""
    since_epoch = boot_ns + time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return rfc3339_epoch(since_epoch)


def rfc3339_epoch(epoch_ns: int) -> str:
    """Return nanoseconds since the epoch as RFC 3339 with nanoseconds, UTC."""
    seconds, nanoseconds = divmod(epoch_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
