"""Finds the very process that a kill is meant for, and tells whether it may be hit."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from raqib.actions.context import ActionContext
from raqib.actions.declare import Refused
from raqib.model.process import ProcessKey

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""The resolution of start times in procfs."""

_STAT_BYTES = 4096
"""More than that line can be."""
_PF_KTHREAD = 0x0020_0000
_DELETED = " (deleted)"


class ProcessStat(NamedTuple):
    """What /proc/PID/stat says."""

    state: str
    ppid: int
    flags: int
    start_ticks: int
    """Of CLOCK_BOOTTIME."""


def read_stat(pid: int) -> ProcessStat | None:
    """Return the process's state, or None if there is no such process."""
    try:
        # A kill waits for this: no file objects.
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(fd, _STAT_BYTES)
        finally:
            os.close(fd)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in parentheses and may itself contain blanks and parentheses.
    fields = text[text.rindex(b")") + 2 :].split()
    return ProcessStat(fields[0].decode(), int(fields[1]), int(fields[6]), int(fields[19]))


def is_same(key: ProcessKey, found: ProcessStat) -> bool:
    """Tell whether a process is the one of that identity, within one tick of rounding."""
    return abs(key.start_ns // TICK_NS - found.start_ticks) <= 1


def has_exited(pidfd: int) -> bool:
    """Tell whether the process of a descriptor is gone; a zombie is."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def refusal(context: ActionContext, pid: int, found: ProcessStat) -> Refused | None:
    """Return why a process must not be killed, or None."""
    services = context.services
    if pid == 1:
        return Refused("pid 1 is never killed")
    if found.flags & _PF_KTHREAD:
        return Refused(f"pid {pid} is a kernel thread")
    if pid == services.daemon_pid:
        return Refused(f"pid {pid} is raqib itself")
    if pid in services.worker_pids():
        return Refused(f"pid {pid} is a worker of raqib")
    if (pid, found.start_ticks) in _ancestors(services.daemon_pid):
        return Refused(f"pid {pid} is an ancestor of raqib")
    program = protected_program(pid, services.settings.protected_programs)
    return Refused(f"pid {pid} runs the protected program {program}") if program else None


def protected_program(pid: int, programs: Iterable[str]) -> str | None:
    """Return the protected program that a process runs, or None.

    A program is protected as the file that is at its path in this mount namespace, if root owns it and nobody else can
    write it: a container's program of the same path is another file. One that was replaced by an update while
    it ran is known by its path, within the same mount namespace.
    """
    exe = f"/proc/{pid}/exe"
    try:
        running = os.stat(exe)  # noqa: PTH116 -- a kill waits for this: no path objects
        link = os.readlink(exe)  # noqa: PTH115 -- as above
    except OSError:
        return None
    if running.st_uid != 0 or running.st_mode & stat.S_IWOTH:
        return None
    replaced = link.removesuffix(_DELETED) if link.endswith(_DELETED) and _same_mounts(pid) else None
    for program in programs:
        if program == replaced:
            return program
        try:
            status = os.stat(program)  # noqa: PTH116 -- as above
        except OSError:
            continue
        if (status.st_dev, status.st_ino) == (running.st_dev, running.st_ino):
            return program
    return None


def _same_mounts(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/mnt").readlink() == Path("/proc/self/ns/mnt").readlink()
    except OSError:
        return False


@cache
def _ancestors(pid: int) -> frozenset[tuple[int, int]]:
    """Return pid and start of all ancestors of the daemon.

    Once is enough: a process whose parent ends gets one of its other ancestors for it, or pid 1.
    """
    found: dict[int, int] = {}
    status = read_stat(pid)
    while status is not None and status.ppid > 0 and status.ppid not in found:
        pid = status.ppid
        status = read_stat(pid)
        if status is not None:
            found[pid] = status.start_ticks
    return frozenset(found.items())
