"""The resolvers of mount namespaces, as their files said a moment ago.

Whoever makes a mount namespace decides how long it takes to read there, for ever for one. So each file is read in a
thread of its own that may be left behind.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

MOST_NAMESPACES: Final = 1024
FRESH_S: Final = 1.0
"""So long what was read is taken to be right."""
_AGAIN_S: Final = 0.05
"""So long nothing is tried again after it could not be read."""
MOST_AT_ONCE: Final = 8
MOST_OF_ONE: Final = 2
"""Reads at once on behalf of one user: who makes them wait for ever does not stop the others."""


class _Known(NamedTuple):
    resolvers: frozenset[str]
    read_at: float


class ResolverFiles:
    """What is known of each mount namespace. Belongs to one thread, apart from those that read.

    `call` has a function called in that thread.
    """

    def __init__(
        self,
        call: Callable[[Callable[[], None]], object],
        *,
        read: Callable[[int, int], frozenset[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`read` reads the file of a process in a mount namespace, or raises OSError; `clock` is in seconds."""
        self._call = call
        self._read = read
        self._clock = clock
        self._known: OrderedDict[int, _Known] = OrderedDict()
        self._reading: dict[int, int] = {}
        """By mount namespace: on behalf of which user."""
        self.refused = 0
        """So many times nothing was read because too much was being read already."""

    @property
    def is_reading(self) -> bool:
        """Whether any file is being read."""
        return bool(self._reading)

    def resolvers(self, mnt_ns: int) -> frozenset[str]:
        """Return what was read last of a namespace; nothing if nothing was."""
        known = self._known.get(mnt_ns)
        return frozenset() if known is None else known.resolvers

    def refresh(self, pid: int, mnt_ns: int, user: int, then: Callable[[], None]) -> bool:
        """Read anew, through a process of a user, unless that was done a moment ago; `then` is called afterwards.

        True if it is being read; False if it is fresh, or too much is being read already.
        """
        known = self._known.get(mnt_ns)
        if mnt_ns in self._reading:
            return True
        if known is not None and self._clock() - known.read_at < FRESH_S:
            return False
        users = list(self._reading.values())
        if len(users) >= MOST_AT_ONCE or users.count(user) >= MOST_OF_ONE:
            self.refused += 1
            return False

        def run() -> None:
            try:
                found: frozenset[str] | None = self._read(pid, mnt_ns)
            except OSError:
                found = None
            self._call(lambda: self._take(mnt_ns, found, then))

        try:
            threading.Thread(target=run, name="resolv.conf", daemon=True).start()
        except RuntimeError:  # as many threads as the host allows
            self.refused += 1
            return False
        # Taken out by a call in this thread, so never before.
        self._reading[mnt_ns] = user
        return True

    def _take(self, mnt_ns: int, found: frozenset[str] | None, then: Callable[[], None]) -> None:
        del self._reading[mnt_ns]
        now = self._clock()
        if found is None:  # the process has ended, most probably: the next one will do
            self._known[mnt_ns] = _Known(self.resolvers(mnt_ns), now - FRESH_S + _AGAIN_S)
        else:
            self._known[mnt_ns] = _Known(found, now)
        self._known.move_to_end(mnt_ns)
        while len(self._known) > MOST_NAMESPACES:
            self._known.popitem(last=False)
        then()
