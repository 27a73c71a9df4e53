"""Where a name that a program gave really leads: the links on the way, in the program's mount namespace.

The daemon walks paths that others made. Whoever mounts a file system in user space decides how long a look-up in it
takes, so whatever is not answered from the kernel's cache is asked for in a thread that may be left behind.
"""

from __future__ import annotations

import ctypes
import errno
import os
import posixpath
import re
import threading
from pathlib import Path

_SYS_OPENAT2 = 437  # the same on every architecture
_RESOLVE_IN_ROOT, _RESOLVE_CACHED = 0x10, 0x20
_THROUGH_ROOT = re.compile(rb"/proc/\d+(?:/task/\d+)?/root(/.+)", re.DOTALL)
_PATIENCE_S = 0.2
_MOST_STUCK = 8


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)


def _open_location(root: int, name: bytes, resolve: int) -> int:
    """Open a path for its location only."""
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, resolve)
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


class _Look:
    """A look-up of its own that nobody needs to wait for."""

    def __init__(self, root: int, name: bytes, resolve: int) -> None:
        self._root, self._name, self._resolve = os.dup(root), name, resolve
        self.found: bytes | None = None
        self.error: OSError | None = None
        self.thread = threading.Thread(target=self._run, name="resolve", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.found = _location(_open_location(self._root, self._name, self._resolve))
        except OSError as error:
            self.error = error
        finally:
            os.close(self._root)


class Resolver:
    """Resolves in the mount namespace of a process; its own needs no help of the process, which may have ended."""

    def __init__(self) -> None:
        self._own = Path("/proc/self/ns/mnt").stat().st_ino
        self._stuck: list[_Look] = []

    def resolve(self, name: bytes, *, pid: int, mnt_ns: int, follow: bool) -> bytes | None:
        """Return the path that an absolute name leads to, or None if it cannot be told any more.

        The last component is followed only with `follow`; it need not exist.
        """
        for itself in (b"/proc/self/", b"/proc/thread-self/"):
            if name.startswith(itself):
                name = b"/proc/%d/" % pid + name.removeprefix(itself)
        found = self._follow(name, pid, mnt_ns, follow=follow)
        if found is None and mnt_ns == self._own and (through := _THROUGH_ROOT.match(name)):
            # The process behind that link has ended, but most share one root.
            found = self._follow(through[1], pid, mnt_ns, follow=follow)
        return found

    def open_cached(self, name: bytes, *, pid: int, mnt_ns: int) -> int | None:
        """Open the location of an absolute path without links, if the kernel need not ask anybody for it."""
        foreign = mnt_ns != self._own
        try:
            root = os.open(b"/proc/%d/root" % pid if foreign else b"/", os.O_PATH | os.O_CLOEXEC)
            try:
                return _open_location(root, name, _RESOLVE_CACHED | (_RESOLVE_IN_ROOT if foreign else 0))
            finally:
                os.close(root)
        except OSError:
            return None

    def _follow(self, name: bytes, pid: int, mnt_ns: int, *, follow: bool) -> bytes | None:
        try:
            if follow:
                return self._open(name, pid, mnt_ns)
            directory, _, base = name.rpartition(b"/")
            found = self._open(directory or b"/", pid, mnt_ns)
        except OSError:
            # Whatever it is: file systems in user space choose their errors, and none may keep a record from matching.
            return None
        return None if found is None else found.rstrip(b"/") + b"/" + base

    def _open(self, name: bytes, pid: int, mnt_ns: int) -> bytes | None:
        foreign = mnt_ns != self._own
        root = os.open(b"/proc/%d/root" % pid if foreign else b"/", os.O_PATH | os.O_CLOEXEC)
        resolve = _RESOLVE_IN_ROOT if foreign else 0
        try:
            return _location(_open_location(root, name, resolve | _RESOLVE_CACHED))
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            return self._open_slowly(root, name, resolve)
        finally:
            os.close(root)

    def _open_slowly(self, root: int, name: bytes, resolve: int) -> bytes | None:
        self._stuck = [look for look in self._stuck if look.thread.is_alive()]
        if len(self._stuck) >= _MOST_STUCK:
            return None
        look = _Look(root, name, resolve)
        look.thread.join(_PATIENCE_S)
        if look.thread.is_alive():
            self._stuck.append(look)
            return None
        if look.error is not None:
            raise look.error
        return look.found


def by_letters(name: bytes) -> bytes:
    """Return an absolute name without `..`, which it may have kept behind what could be a link."""
    return posixpath.normpath(name)
