"""Decides whether a process may be killed: never pid 1, raqib itself, its ancestors, protected programs."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

from raqib.actions.context import ActionContext
from raqib.actions.declare import Refused
from raqib.host.procfs import ProcessStat, living_part, read_stat

_PF_KTHREAD = 0x0020_0000
_DELETED = " (deleted)"
_LAST_SYSTEM_UID = 999
"""Debian's and its relatives' (SYS_UID_MAX)."""
_PATHS_LAST_S = 5.0
"""How long is believed where the links on the way to a protected program led."""


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
    program = protected_program(pid, services.settings.protected_programs, found)
    return Refused(f"pid {pid} runs the protected program {program}") if program else None


def protected_program(pid: int, programs: Iterable[str], found: ProcessStat | None = None) -> str | None:
    """Return the protected program that a process runs, or None. `found` is its state, if that was just read.

    A program is protected as the file that is at its path in this mount namespace, if root owns it and nobody else can
    write it: a container's program of the same path is another file. One that was replaced by an update while
    it ran is known by its path, within the same mount namespace. It runs as root or as a user of the system: whoever
    else starts such a program may have made it his own, by a preloaded library for one.

    Nothing is asked of a file system that the process chose before this is known.
    """
    exe = f"{living_part(pid, found)}/exe"
    try:
        link = os.readlink(exe)  # noqa: PTH115 -- a kill waits for this: no path objects
    except OSError:
        return None
    path = link.removesuffix(_DELETED)
    program = _by_path(programs).get(path)
    if program is None or not _is_of_the_system(pid):
        return None
    try:
        running = os.stat(exe)  # noqa: PTH116 -- as above
    except OSError:
        return None
    if running.st_uid != 0 or running.st_mode & stat.S_IWOTH:
        return None
    if path != link:
        return program if _same_mounts(pid) else None
    try:
        status = os.stat(path)  # noqa: PTH116 -- as above
    except OSError:
        return None
    return program if (status.st_dev, status.st_ino) == (running.st_dev, running.st_ino) else None


def _by_path(programs: Iterable[str]) -> dict[str, str]:
    """Return the programs by each of their paths, with links followed and as they were given."""
    return _paths_of(tuple(programs), int(time.monotonic() / _PATHS_LAST_S))


@lru_cache(maxsize=4)
def _paths_of(programs: tuple[str, ...], when: int) -> dict[str, str]:
    paths: dict[str, str] = {}
    for program in programs:
        paths[os.path.realpath(program)] = paths[program] = program
    return paths


def _is_of_the_system(pid: int) -> bool:
    """Tell whether a process runs as root or as a user that is nobody's login, as seen from here."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            line = next(line for line in file if line.startswith(b"Uid:"))
    except (OSError, StopIteration):
        return False
    return all(int(uid) <= _LAST_SYSTEM_UID for uid in line.split()[1:])


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
