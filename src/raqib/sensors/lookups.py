"""Look-ups that the kernel does not answer from its cache: each in a thread that may be left behind.

Whoever mounts a file system in user space decides how long a look-up in it takes. So each user has so many threads and
so much of the daemon's time, and what one has used up is nobody else's loss.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 0.2
"""So long the daemon waits for one."""
MOST_STUCK: Final = 8
"""Threads left behind at once, of all users."""
MOST_STUCK_OF_ONE: Final = 2

AT_ONCE_S: Final = 0.5
"""How long the daemon waits for look-ups of one user at once, …"""
EACH_SECOND_S: Final = 0.1
"""… and again in each second."""
ALL_AT_ONCE_S: Final = 1.0
"""The same for all users together."""
ALL_EACH_SECOND_S: Final = 0.3

_FREE_S: Final = 0.0003
"""What a thread costs anyhow; a file system of the kernel's own hardly takes more."""
_LEAST_S: Final = 0.005
"""For less nothing is begun."""
_MOST_USERS: Final = 1024


class Unanswered(Exception):  # noqa: N818  # it is an answer, not a fault
    """It took too long, or was not even begun."""


class _Look:
    """One look-up. Raises RuntimeError if no thread can be started."""

    def __init__(self, work: Callable[[], bytes]) -> None:
        self._work = work
        self.found: bytes | None = None
        self.error: OSError | None = None
        self.thread = threading.Thread(target=self._run, name="resolve", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.found = self._work()
        except OSError as error:
            self.error = error


class _Waited:
    """How long somebody was waited for lately."""

    def __init__(self, most_s: float, each_second_s: float, now: float) -> None:
        self._most_s, self._each_second_s = most_s, each_second_s
        self._spent_s, self._at = 0.0, now

    def left_s(self, now: float) -> float:
        self._spent_s = max(0.0, self._spent_s - (now - self._at) * self._each_second_s)
        self._at = now
        return self._most_s - self._spent_s

    def add(self, time_s: float) -> None:
        self._spent_s += time_s


class Lookups:
    """Belongs to one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds."""
        self._clock = clock
        self._stuck: list[tuple[int, _Look]] = []
        self._all = _Waited(ALL_AT_ONCE_S, ALL_EACH_SECOND_S, clock())
        self._users: OrderedDict[int, _Waited] = OrderedDict()

    def ask(self, user: int, work: Callable[[], bytes], give_up: Callable[[], None]) -> bytes:
        """Do the work on behalf of a user and return its answer; `give_up` is called if it is not even begun.

        Raises what the work does of OSError, and Unanswered.
        """
        patience_s = self._patience_s(user)
        if patience_s < _LEAST_S:
            give_up()
            raise Unanswered
        began = self._clock()
        try:
            look = _Look(work)
        except RuntimeError:  # as many threads as the host allows
            give_up()
            raise Unanswered from None
        return self._wait(user, look, patience_s, began)

    def _wait(self, user: int, look: _Look, patience_s: float, began: float) -> bytes:
        look.thread.join(patience_s)
        self._spend(user, self._clock() - began - _FREE_S)
        if look.thread.is_alive():
            self._stuck.append((user, look))
            raise Unanswered
        if look.error is not None:
            raise look.error
        if look.found is None:  # the interpreter is short of memory
            raise Unanswered
        return look.found

    def _patience_s(self, user: int) -> float:
        self._stuck = [(whose, look) for whose, look in self._stuck if look.thread.is_alive()]
        users = Counter(whose for whose, _ in self._stuck)
        if users.total() >= MOST_STUCK or users[user] >= MOST_STUCK_OF_ONE:
            return 0.0
        now = self._clock()
        waited = self._users.get(user)
        left_s = AT_ONCE_S if waited is None else waited.left_s(now)
        return min(PATIENCE_S, left_s, self._all.left_s(now))

    def _spend(self, user: int, time_s: float) -> None:
        if time_s <= 0:
            return
        now = self._clock()
        waited = self._users.pop(user, None) or _Waited(AT_ONCE_S, EACH_SECOND_S, now)
        self._users[user] = waited
        for item in (waited, self._all):
            item.left_s(now)
            item.add(time_s)
        while len(self._users) > _MOST_USERS:
            self._users.popitem(last=False)
