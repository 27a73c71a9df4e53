"""What changes whenever a file does."""

from __future__ import annotations

import os
import time
from pathlib import Path

SETTLED_NS = 100_000_000
"""A file that was changed less than this before it was read may be changed again without a new time."""

Fingerprint = tuple[int, ...]


def fingerprint(path: Path) -> Fingerprint | None:
    """Return what changes whenever a file, or what its name leads to, does; None if there is nothing."""
    try:
        status = os.stat(path)  # noqa: PTH116  # of many files, often
    except (OSError, ValueError):
        return None
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (status.st_dev, status.st_ino, status.st_size, *times, status.st_mode, status.st_uid)


def is_settled(mark: Fingerprint) -> bool:
    """Tell whether a further change would show: the last one was not just now."""
    return not 0 <= time.time_ns() - max(mark[3:5]) < SETTLED_NS
