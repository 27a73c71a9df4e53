"""Reads environments of processes from procfs, and lets none of them hold up who asks.

The kernel takes the lock of the process's memory for it. A process can see to it that this lock is held for as long as
it likes: one of its threads reads, by way of /proc/PID/mem, a page of a file whose file system does not answer, and
another one waits to change the mappings. So the read is done in a thread, which is left behind if it takes too long.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from raqib.host.procfs import is_same, read_stat
from raqib.model.process import ProcessKey

PATIENCE_S: Final = 0.2
"""A read that takes longer is left behind."""
LEAST_PATIENCE_S: Final = 0.005
CAUTION_S: Final = 2.0
"""For so long after a read was left behind, the next has half the patience of the last."""
PAUSE_S: Final = 10.0
"""For so long nothing more is read of a user, other than root, of whom a read was left behind."""
MOST_LEFT: Final = 8
"""Reads that have not come back; with so many, nothing more is read."""

_PIECE: Final = 128 << 10
"""Bytes read at once; the kernel lets no single variable be longer."""
_MOST_BYTES: Final = 6 << 20
"""The kernel lets arguments and environment together be no larger."""

_log = structlog.get_logger()

Select = Callable[[Iterable[bytes]], tuple[bytes, ...]]
"""Returns those of the variables, each as NAME=VALUE, that are wanted. Called in a thread."""


def read_environment(key: ProcessKey, select: Select) -> tuple[bytes, ...]:
    """Return the selected variables of a process; none if it is gone, or its pid another process's by now.

    May wait for ever.
    """
    try:
        descriptor = os.open(f"/proc/{key.pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ()
    with contextlib.closing(os.fdopen(descriptor, "rb", buffering=0)) as file:
        try:
            # Asked after it was opened: if it is the same process now, it was then.
            found = read_stat(key.pid)
            if found is None or not is_same(key, found):
                return ()
            return select(_variables(file.read))
        except OSError:
            return ()


def _variables(read: Callable[[int], bytes | None]) -> Iterable[bytes]:
    """Yield the variables of an environment, holding no more of it than one piece and one variable."""
    rest, total = b"", 0
    while total < _MOST_BYTES and (piece := read(_PIECE)):
        total += len(piece)
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole
    if rest:
        yield rest


class _Read:
    """One read, and what came of it."""

    def __init__(self, key: ProcessKey, uid: int, select: Select) -> None:
        self.key = key
        self.uid = uid
        self.select = select
        self.found: tuple[bytes, ...] = ()
        # Waiting for a bare lock is the fastest way from one thread to another.
        self._over = threading.Lock()
        self._over.acquire()

    def run(self) -> None:
        try:
            self.found = read_environment(self.key, self.select)
        except Exception:
            _log.exception("the environment of a process could not be read", pid=self.key.pid)
        finally:
            self._over.release()

    def wait(self, timeout_s: float) -> bool:
        """Return whether it is over by then. Once it is, it stays so."""
        if not self._over.acquire(timeout=timeout_s):
            return False
        self._over.release()
        return True


class EnvironmentReader:
    """Reads in a thread of its own. Belongs to one thread, which waits for it no longer than the patience above."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, patience_s: float = PATIENCE_S) -> None:
        self._clock = clock
        self._most_patience_s = self._patience_s = patience_s
        self._reads: queue.SimpleQueue[_Read | None] | None = None
        self._left: dict[ProcessKey, _Read] = {}
        self._paused: dict[int, float] = {}
        """Until when nothing is read, by user."""
        self._careful_until = 0.0

    def read(self, key: ProcessKey, uid: int, select: Select) -> tuple[bytes, ...] | None:
        """Return the selected variables of a process of a user; None if that takes too long, or took before."""
        earlier = self._left.get(key)
        if earlier is not None and earlier.select == select:
            return earlier.found if earlier.wait(0) else None
        if not self._may_read(uid):
            return None
        read = _Read(key, uid, select)
        self._thread().put(read)
        if self._clock() >= self._careful_until:
            self._patience_s = self._most_patience_s
        if read.wait(self._patience_s):
            return read.found
        self._leave(read)
        return None

    def close(self) -> None:
        """Let go of the thread."""
        if self._reads is not None:
            self._reads.put(None)
            self._reads = None

    def _may_read(self, uid: int) -> bool:
        self._left = {key: read for key, read in self._left.items() if not read.wait(0)}
        if len(self._left) >= MOST_LEFT:
            return False
        return uid == 0 or self._paused.get(uid, 0.0) <= self._clock()

    def _thread(self) -> queue.SimpleQueue[_Read | None]:
        if self._reads is None:
            self._reads = queue.SimpleQueue()
            threading.Thread(target=_work, args=(self._reads,), name="environment", daemon=True).start()
        return self._reads

    def _leave(self, read: _Read) -> None:
        """Go on without the thread; it ends when it comes back."""
        self.close()
        self._left[read.key] = read
        now = self._clock()
        self._patience_s = max(LEAST_PATIENCE_S, self._patience_s / 2)
        self._careful_until = now + CAUTION_S
        self._paused = {uid: until for uid, until in self._paused.items() if until > now}
        if read.uid:
            self._paused[read.uid] = now + PAUSE_S


def _work(reads: queue.SimpleQueue[_Read | None]) -> None:
    while (read := reads.get()) is not None:
        read.run()
        del read
