"""What procfs says of a process: its state, whether it is still the same one, whether it is gone."""

from __future__ import annotations

import contextlib
import os
import select
from typing import NamedTuple

from raqib.model.process import ProcessKey

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""The resolution of start times in procfs."""

_STAT_BYTES = 4096
"""More than that line can be."""
_ENDED = "ZX"


class ProcessStat(NamedTuple):
    """What /proc/PID/stat says."""

    state: str
    ppid: int
    flags: int
    cpu_ticks: int
    """Of all threads, in user space and in the kernel."""
    start_ticks: int
    """Of CLOCK_BOOTTIME."""


def read_stat(pid: int) -> ProcessStat | None:
    """Return the process's state, or None if there is no such process."""
    return _read_stat(f"/proc/{pid}/stat")


def _read_stat(path: str) -> ProcessStat | None:
    try:
        # A kill waits for this: no file objects.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(fd, _STAT_BYTES)
        finally:
            os.close(fd)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in parentheses and may itself contain blanks and parentheses.
    fields = text[text.rindex(b")") + 2 :].split()
    return ProcessStat(
        fields[0].decode(), int(fields[1]), int(fields[6]), int(fields[11]) + int(fields[12]), int(fields[19])
    )


def is_same(key: ProcessKey, found: ProcessStat) -> bool:
    """Tell whether a process is the one of that identity, within one tick of rounding."""
    return abs(key.start_ns // TICK_NS - found.start_ticks) <= 1


def has_exited(pidfd: int) -> bool:
    """Tell whether the process of a descriptor is gone; a zombie is."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def living_part(pid: int, found: ProcessStat | None = None) -> str:
    """Return the directory in procfs that tells of a process; if its first thread has ended, of another of its threads.

    The directory of a first thread that has ended knows neither program nor files. `found` is the first thread's state,
    if that was just read.
    """
    place = f"/proc/{pid}"
    first = found or read_stat(pid)
    if first is None or first.state not in _ENDED:
        return place
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"{place}/task"):  # noqa: PTH208 -- a kill waits for this: no path objects
            status = _read_stat(f"{place}/task/{thread}/stat")
            if status is not None and status.state not in _ENDED:
                return f"{place}/task/{thread}"
    return place


def host_mount_namespace() -> int:
    """Return the inode number of pid 1's mount namespace, or one's own where nobody may look at that one."""
    for pid in ("1", "self"):
        with contextlib.suppress(OSError):
            return os.stat(f"/proc/{pid}/ns/mnt").st_ino  # noqa: PTH116
    return 0
