"""Where a name that a program gave really leads: the links on the way, in the program's mount namespace.

The daemon walks paths that others made, and never waits long for one: see `lookups`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import posixpath
import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

from raqib.model.process import ProcessKey
from raqib.sensors.accounts import OTHERS
from raqib.sensors.lookups import Lookups, Unanswered

_SYS_OPENAT2 = 437  # the same on every architecture
_RESOLVE_IN_ROOT, _RESOLVE_CACHED = 0x10, 0x20
_THROUGH_ROOT = re.compile(rb"/proc/\d+(?:/task/\d+)?/root(/.+)", re.DOTALL)
_MOST_USERS = 64


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


class Giver(NamedTuple):
    """The process that gave a name."""

    key: ProcessKey
    mnt_ns: int
    user: int
    """On whose account it is looked up."""


def _look_up(root: int, name: bytes, resolve: int) -> bytes:
    """Return where a path leads; closes `root`."""
    try:
        return _location(_open_location(root, name, resolve))
    finally:
        os.close(root)


class Unfollowed(NamedTuple):
    """How many names could not be followed in time, and who gave the latest."""

    number: int
    latest: Giver


class Resolver:
    """Resolves in the mount namespace of a process; its own needs no help of the process, which may have ended."""

    def __init__(self, lookups: Lookups | None = None) -> None:
        """`lookups` sees to what the kernel does not answer from its cache."""
        self._own = Path("/proc/self/ns/mnt").stat().st_ino
        self._lookups = lookups or Lookups()
        self._unfollowed: dict[int, Unfollowed] = {}
        self.unfollowed = 0
        """So many names could not be followed in time since the start."""

    def resolve(self, name: bytes, giver: Giver, *, follow: bool) -> bytes | None:
        """Return the path that an absolute name leads to, or None if it cannot be told any more.

        The last component is followed only with `follow`; it need not exist.
        """
        pid = giver.key.pid
        for itself in (b"/proc/self/", b"/proc/thread-self/"):
            if name.startswith(itself):
                name = b"/proc/%d/" % pid + name.removeprefix(itself)
        try:
            found = self._follow(name, giver, follow=follow)
            if found is None and giver.mnt_ns == self._own and (through := _THROUGH_ROOT.match(name)):
                # The process behind that link has ended, but most share one root.
                found = self._follow(through[1], giver, follow=follow)
        except Unanswered:
            self._count(giver)
            return None
        return found

    def take_unfollowed(self) -> list[Unfollowed]:
        """Return what could not be followed in time since this was last asked, by user."""
        found, self._unfollowed = list(self._unfollowed.values()), {}
        return found

    def _count(self, giver: Giver) -> None:
        self.unfollowed += 1
        user = giver.user if giver.user in self._unfollowed or len(self._unfollowed) < _MOST_USERS else OTHERS
        before = self._unfollowed.get(user)
        latest = giver._replace(user=user)
        self._unfollowed[user] = Unfollowed(1 if before is None else before.number + 1, latest)

    def _follow(self, name: bytes, giver: Giver, *, follow: bool) -> bytes | None:
        try:
            if follow:
                return self._open(name, giver)
            directory, _, base = name.rpartition(b"/")
            return self._open(directory or b"/", giver).rstrip(b"/") + b"/" + base
        except OSError:
            # Whatever it is: file systems in user space choose their errors, and none may keep a record from matching.
            return None

    def _open(self, name: bytes, giver: Giver) -> bytes:
        foreign = giver.mnt_ns != self._own
        root = os.open(b"/proc/%d/root" % giver.key.pid if foreign else b"/", os.O_PATH | os.O_CLOEXEC)
        resolve = _RESOLVE_IN_ROOT if foreign else 0
        try:
            return _location(_open_location(root, name, resolve | _RESOLVE_CACHED))
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            own = os.dup(root)
            return self._lookups.ask(giver.user, partial(_look_up, own, name, resolve), partial(os.close, own))
        finally:
            os.close(root)


def by_letters(name: bytes) -> bytes:
    """Return an absolute name without `..`, which it may have kept behind what could be a link."""
    return posixpath.normpath(name)
