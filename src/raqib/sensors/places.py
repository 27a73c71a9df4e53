"""Opens places of the host for their location only, without links, and without waiting for those who choose to be slow.

What the kernel has not cached is asked for in a thread: whoever mounts a file system in user space decides how long a
look-up in it takes.
"""

from __future__ import annotations

import errno
import os
import queue
import threading

from raqib.host.opening import RESOLVE_CACHED, RESOLVE_NO_SYMLINKS, open_location

_MOST_SLOW = 8
NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What look-ups say of a place where nothing is, or a link is on the way: something above it may be there."""


def _open(path: bytes, resolve: int = 0) -> int:
    return open_location(None, path, resolve | RESOLVE_NO_SYMLINKS, os.O_NOFOLLOW)


class PatientOpener:
    """Belongs to one thread."""

    def __init__(self) -> None:
        """Nothing is opened yet."""
        self._closed = False
        self._slow: dict[bytes, threading.Thread] = {}
        self._late: queue.SimpleQueue[tuple[bytes, int | None]] = queue.SimpleQueue()

    def open(self, path: bytes, *, patience_s: float = 0.0, cached: bool = False) -> int | None:
        """Return a descriptor of what is at an absolute path, or None if that takes longer: then `late` has it.

        `cached`: nobody is asked, and `late` has nothing.

        Raises OSError if nothing is there, or a link is on the way.
        """
        try:
            return _open(path, RESOLVE_CACHED)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
        self._slow = {name: thread for name, thread in self._slow.items() if thread.is_alive()}
        if path not in self._slow and len(self._slow) < _MOST_SLOW and not cached:
            thread = threading.Thread(target=self._open_slowly, args=(path,), name="places", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads: the next round tries again
                return None
            self._slow[path] = thread
            if patience_s:
                thread.join(patience_s)
        return None

    def late(self) -> list[tuple[bytes, int | None]]:
        """Return what was found meanwhile: paths, and descriptors that are the caller's now; None: nothing is there."""
        found = []
        while not self._late.empty():
            found.append(self._late.get())
        return found

    def close(self) -> None:
        """Let go of what was found and not asked for, also of what is found later."""
        self._closed = True
        for _, fd in self.late():
            if fd is not None:
                os.close(fd)

    def _open_slowly(self, path: bytes) -> None:
        try:
            fd = _open(path)
            if self._closed:
                os.close(fd)
            else:
                self._late.put((path, fd))
        except OSError as error:
            if error.errno in NOTHING_THERE:
                self._late.put((path, None))
