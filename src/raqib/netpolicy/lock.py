"""One after the other: an agent and the commands change the same words of the same maps."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

PATIENCE_S = 2.0
"""The lock is held as long as a map is read. Whoever hangs with it must not keep others from `raqib blocks off`."""
_PAUSE_S = 0.002


@contextlib.contextmanager
def locked(directory: Path | None) -> Iterator[None]:
    """Be the only one, among threads and processes, that changes what is pinned there; None: nobody else can."""
    try:
        descriptor = None if directory is None else os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # it was taken away, and those who have its maps open are alone with them
        descriptor = None
    try:
        if descriptor is not None and not _acquired(descriptor):
            structlog.get_logger().warning("network policy lock refused: another process holds it", pins=str(directory))
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _acquired(descriptor: int) -> bool:
    """Lock a directory: a BPF filesystem has no ordinary files. False if another has it all the time."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE_S)
        else:
            return True
