"""Paths walked on behalf of another process: from its root, and what procfs calls `self` is that process."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path
from typing import Final

from raqib.host.opening import RESOLVE_NO_MAGICLINKS, open_location

_MOST_LINKS: Final = 40
"""As the kernel."""
_ITSELF: Final = (b"self", b"thread-self")

_libc = ctypes.CDLL(None, use_errno=True)


def location(fd: int) -> bytes:
    """Return the path of what is open; closes it. Raises OSError."""
    try:
        path = os.readlink(b"/proc/self/fd/%d" % fd)  # noqa: PTH115  # Path knows no bytes
        return path if os.fstat(fd).st_nlink else path.removesuffix(b" (deleted)")
    finally:
        os.close(fd)


def walk(root: int, name: bytes, pid: int) -> bytes:
    """Return where a path leads for a process whose root that is, link by link; closes `root`. Raises OSError."""
    try:
        return location(_Walk(root, pid).end_of(name))
    finally:
        os.close(root)


class _Walk:
    def __init__(self, root: int, pid: int) -> None:
        self._root, self._pid = root, pid
        self._links = 0
        self._proc = Path("/proc").stat().st_dev
        self._at = -1

    def end_of(self, name: bytes) -> int:
        self._at = os.dup(self._root)
        try:
            parts = name.split(b"/")[::-1]
            while parts:
                parts += self._step(parts.pop())
        except BaseException:
            os.close(self._at)
            raise
        return self._at

    def _step(self, part: bytes) -> list[bytes]:
        """Go one part on; return what a link says is to be gone first, the last part first."""
        if part in (b"", b".") or (part == b".." and os.path.sameopenfile(self._at, self._root)):
            return []
        fd = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._at)
        if not stat.S_ISLNK(os.fstat(fd).st_mode):
            self._go(fd)
            return []
        try:
            self._links += 1
            if self._links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), part)
            if not self._is_procfs(fd):
                return self._target(fd)
            if part in _ITSELF:
                self._go(os.open(b"/proc/%d" % self._pid, os.O_PATH | os.O_CLOEXEC))
                return []
            return self._through_procfs(fd, part)
        finally:
            os.close(fd)

    def _through_procfs(self, fd: int, part: bytes) -> list[bytes]:
        """Follow a link to what a process has open, which is no text; or one that is, as `mounts`."""
        try:
            os.close(open_location(self._at, part, RESOLVE_NO_MAGICLINKS))
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            self._go(os.open(part, os.O_PATH | os.O_CLOEXEC, dir_fd=self._at))
            return []
        return self._target(fd)

    def _target(self, fd: int) -> list[bytes]:
        text = os.readlink(b"", dir_fd=fd)
        if text.startswith(b"/"):
            self._go(os.dup(self._root))
        return text.split(b"/")[::-1]

    def _is_procfs(self, fd: int) -> bool:
        """Tell whether that is in a procfs, the host's or another: there, `self` says who asks."""
        device = os.fstat(fd).st_dev
        return device == self._proc or _is_proc_mount(fd)

    def _go(self, fd: int) -> None:
        os.close(self._at)
        self._at = fd


class _Statfs(ctypes.Structure):
    _fields_ = (("type", ctypes.c_long), ("rest", ctypes.c_long * 31))


def _is_proc_mount(fd: int) -> bool:
    found = _Statfs()
    return not _libc.fstatfs(fd, ctypes.byref(found)) and found.type == 0x9FA0
