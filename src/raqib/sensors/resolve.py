"""Where a name that a program gave really leads: the links on the way, in the program's mount namespace."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_SYS_OPENAT2 = 437  # the same on every architecture
_RESOLVE_IN_ROOT = 0x10


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)


def _open_in(root: int, name: bytes) -> int:
    """Open a path for its location only, with the directory `root` as /."""
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    fd: int = _libc.syscall(_SYS_OPENAT2, root, ctypes.c_char_p(name), ctypes.byref(how), ctypes.sizeof(how))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
    return fd


def _location(fd: int) -> bytes:
    try:
        path = os.readlink(b"/proc/self/fd/%d" % fd)  # noqa: PTH115  # Path knows no bytes
        return path if os.fstat(fd).st_nlink else path.removesuffix(b" (deleted)")
    finally:
        os.close(fd)


class Resolver:
    """Resolves in the mount namespace of a process; its own needs no help of the process, which may have ended."""

    def __init__(self) -> None:
        self._own = Path("/proc/self/ns/mnt").stat().st_ino

    def resolve(self, name: bytes, *, pid: int, mnt_ns: int, follow: bool) -> bytes | None:
        """Return the path that an absolute name leads to, or None if it cannot be told any more.

        The last component is followed only with `follow`; it need not exist.
        """
        for itself in (b"/proc/self/", b"/proc/thread-self/"):
            if name.startswith(itself):
                name = b"/proc/%d/" % pid + name.removeprefix(itself)
        try:
            if follow:
                return self._open(name, pid, mnt_ns)
            directory, _, base = name.rpartition(b"/")
            found = self._open(directory or b"/", pid, mnt_ns)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESRCH, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG):
                return None
            raise
        return found.rstrip(b"/") + b"/" + base

    def _open(self, name: bytes, pid: int, mnt_ns: int) -> bytes:
        if mnt_ns == self._own:
            return _location(os.open(name, os.O_PATH | os.O_CLOEXEC))
        root = os.open(b"/proc/%d/root" % pid, os.O_PATH | os.O_CLOEXEC)
        try:
            return _location(_open_in(root, name))
        finally:
            os.close(root)
