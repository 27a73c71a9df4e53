"""Where a name that a program gave really leads: the links on the way, in the program's mount namespace.

The daemon walks paths that others made, and never waits long for one: see `lookups`.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

from raqib.host.opening import RESOLVE_CACHED, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, open_location
from raqib.model.process import ProcessKey
from raqib.sensors.accounts import OTHERS
from raqib.sensors.lookups import Lookups, Unanswered
from raqib.sensors.walk import location, walk

_THROUGH_ROOT = re.compile(rb"/proc/\d+(?:/task/\d+)?/root(/.+)", re.DOTALL)
_MOST_USERS = 64
_WALK = (errno.ELOOP, errno.EXDEV)
"""What the kernel says of links through procfs, which mean another process than the daemon."""


class Giver(NamedTuple):
    """The process that gave a name."""

    key: ProcessKey
    mnt_ns: int
    user: int
    """On whose account it is looked up."""


def _look_up(root: int, name: bytes, resolve: int, pid: int) -> bytes:
    """Return where a path leads; closes `root`."""
    try:
        return location(open_location(root, name, resolve))
    except OSError as error:
        if error.errno not in _WALK:
            raise
        return walk(os.dup(root), name, pid)
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
        for itself in (b"/proc/self/", b"/proc/thread-self/"):
            if name.startswith(itself):
                name = b"/proc/%d/" % giver.key.pid + name.removeprefix(itself)
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

    def open_cached(self, name: bytes, giver: Giver) -> int | None:
        """Open the location of an absolute path without links, if the kernel need not ask anybody for it."""
        try:
            root, rest, resolve = self._root_of(name, giver)
            try:
                return open_location(root, rest, resolve | RESOLVE_CACHED)
            finally:
                os.close(root)
        except OSError:
            return None

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
        root, name, resolve = self._root_of(name, giver)
        try:
            return location(open_location(root, name, resolve | RESOLVE_CACHED))
        except OSError as error:
            if error.errno not in (errno.EAGAIN, *_WALK):
                raise
            own = os.dup(root)
            work = partial(_look_up, own, name, resolve, giver.key.pid)
            return self._lookups.ask(giver.user, work, partial(os.close, own))
        finally:
            os.close(root)

    def _root_of(self, name: bytes, giver: Giver) -> tuple[int, bytes, int]:
        """Return from where a name is to be looked up, what of it, and how: links do not leave a process's root."""
        own = b"/proc/%d/root" % giver.key.pid
        foreign = giver.mnt_ns != self._own
        try:
            place = os.readlink(own)  # noqa: PTH115  # Path knows no bytes
        except OSError:  # it has ended, most probably, and had the host's root
            if foreign:
                raise
            place = b"/"
        changed = place != b"/" and name.startswith(place + b"/")
        root = os.open(own if foreign or changed else b"/", os.O_PATH | os.O_CLOEXEC)
        resolve = RESOLVE_NO_MAGICLINKS | (RESOLVE_IN_ROOT if foreign or changed else 0)
        return root, name[len(place) :] if changed else name, resolve


def by_letters(name: bytes) -> bytes:
    """Return an absolute name without `..`, which it may have kept behind what could be a link."""
    return posixpath.normpath(name)
