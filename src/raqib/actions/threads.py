"""Threads for calls that may block. What does not come back in time is left behind, and others go on.

Whoever serves a file system decides how long a look-up in it takes, and no thread can be called back from there.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from raqib.errors import RaqibError

FILE_THREADS = 4
"""Calls at once, of those that are not left behind."""

LEFT_AFTER_S = 1.0
"""A call that takes longer is not waited for before others are begun."""

MAX_LEFT_OF_ONE = 8
"""A recipe that has left so many behind begins no other."""

MAX_LEFT = 32

_T = TypeVar("_T")
_Job = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


class LeftBehindError(RaqibError):
    """Too many calls have not come back, or there is no thread for one."""


class Threads:
    """Carries out calls, each in a thread; a process that ends does not wait for them. Belongs to one event loop."""

    def __init__(self, count: int, name: str, *, leave: bool) -> None:
        """Carry out `count` calls at once; with `leave`, those that take long are left behind."""
        self._name = name
        self._leave = leave
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._free = asyncio.Semaphore(count)
        self._left: Counter[str] = Counter()
        """How many calls each recipe has left behind."""
        self._count = count
        self._started = 0

    def close(self) -> None:
        """Let go of the threads."""
        for _ in range(self._started):
            self._jobs.put(None)

    async def run(self, recipe: str, work: Callable[..., _T], *arguments: Any) -> _T:
        """Carry out a call of a recipe. Raises LeftBehindError, and whatever `work` does."""
        await self._free.acquire()
        left = False

        def leave() -> None:
            nonlocal left
            # Without another thread nobody would take its place.
            left = self._leave and self._start()
            if left:
                self._left[recipe] += 1
                self._free.release()

        try:
            self._check(recipe)
            if self._started < self._count and not self._start() and not self._started:
                raise LeftBehindError("no thread can be started: the host has as many as it allows")
            future: Future[_T] = Future()
            self._jobs.put((future, work, arguments))
            timer = asyncio.get_running_loop().call_later(LEFT_AFTER_S, leave)
            try:
                return await asyncio.wrap_future(future)
            finally:
                timer.cancel()
        finally:
            if left:
                self._left[recipe] -= 1
                # There is one thread more than there need be.
                self._jobs.put(None)
                self._started -= 1
            else:
                self._free.release()

    def _check(self, recipe: str) -> None:
        if self._left[recipe] >= MAX_LEFT_OF_ONE:
            raise LeftBehindError(f"{self._left[recipe]} calls of this recipe to do with files have not come back")
        if self._left.total() >= MAX_LEFT:
            raise LeftBehindError(f"{self._left.total()} calls to do with files have not come back")

    def _start(self) -> bool:
        """Start a thread; False if the host has as many as it allows."""
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:
            return False
        self._started += 1
        return True

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work, arguments = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work(*arguments))
            except BaseException as error:
                future.set_exception(error)
            del job, future, work, arguments
