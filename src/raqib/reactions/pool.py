"""Keeps as many workers as may run at once, and a warm one more: no reaction has to wait for a replacement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from raqib.reactions.process import Owner, WorkerProcess
from raqib.reactions.protocol import Setup

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
"""Between attempts if workers die before they are ready; doubled each time."""
_MOST_DOUBLINGS = 16
"""Many more than lie between the two, and few enough for a float, however often it fails."""

READY_WITHIN_S = 30.0
"""How long a worker may take to have an isolate ready."""

IDLE_LOOK_S = 5.0
"""How often idle workers are looked at."""
IDLE_CPU_S = 0.5
"""How much processor time a worker may use while it has nothing to do; a sound one sleeps."""
IDLE_WINDOW_S = 5.0
"""Within so long, whatever it had to do in between."""


class WorkerPool:
    """All worker processes of the daemon."""

    def __init__(
        self, owner: Owner, on_trouble: Callable[[str], None], size: int, setup: Setup, directory: int
    ) -> None:
        """Keep `size` workers. `directory` is a descriptor of the empty directory that they live in.

        The owner hears of the workers, and hands back those that are ready (`keep`) and gone (`replace`); `on_trouble`
        gets why workers cannot be started at present.
        """
        self._owner = owner
        self._on_trouble = on_trouble
        self._size = size
        self._setup = setup
        self._directory = directory
        self._workers: set[WorkerProcess] = set()
        self._idle: list[WorkerProcess] = []
        self._used_s: dict[WorkerProcess, float] = {}
        """The processor time of each idle worker when it became idle, less what it had used idly before."""
        self._idly_s: dict[WorkerProcess, float] = {}
        """What workers that are busy have used idly."""
        self._window_began = 0.0
        self._looking: asyncio.TimerHandle | None = None
        self._deadlines: dict[WorkerProcess, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._pause: asyncio.TimerHandle | None = None
        self._closing = False
        self._changed = asyncio.Event()
        self._last_problem = ""

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of all workers that live."""
        return tuple(worker.pid for worker in self._workers if worker.pid)

    @property
    def idle(self) -> int:
        """How many workers wait for a job."""
        return len(self._idle)

    @property
    def has_spare(self) -> bool:
        """Whether another worker is left, or at once ready again, when one is taken; True if none comes up at all."""
        at_once = sum(worker.was_ready for worker in self._deadlines)
        return len(self._idle) + at_once > 1 or self._failures > 0

    @property
    def last_problem(self) -> str:
        """Why the latest worker that did not become ready did not; empty once one did."""
        return self._last_problem

    @property
    def missing(self) -> tuple[str, ...]:
        """Parts of the sandbox that this host does not permit."""
        return next((worker.missing for worker in self._workers if worker.was_ready), ())

    async def fill(self) -> None:
        """Start the workers and wait until one is ready, or until it is clear that they do not come up."""
        self._replenish()
        self._look_at_idle()
        while not self._idle and self._failures < 3:
            self._changed.clear()
            await self._changed.wait()

    async def wait_idle(self, count: int) -> None:
        """Wait until that many workers wait for a job."""
        while len(self._idle) < count:
            self._changed.clear()
            await self._changed.wait()

    def acquire(self) -> WorkerProcess | None:
        """Take a worker that waits; it is back once it says that it is ready again."""
        while self._idle:
            worker = self._idle.pop()
            if (since_s := self._used_s.pop(worker, None)) is not None:
                self._idly_s[worker] = worker.cpu_s - since_s
            # One that has just been killed must not take a reaction with it.
            if worker.alive and not worker.violation:
                return worker
        return None

    def expect_ready(self, worker: WorkerProcess) -> None:
        """Give a worker that ended a job a limited time to be ready for the next."""
        loop = asyncio.get_running_loop()
        self._deadlines[worker] = loop.call_later(READY_WITHIN_S, worker.break_off, "was not ready in time")

    async def close(self) -> None:
        """End all workers and wait for them."""
        self._closing = True
        for timer in (self._pause, self._looking):
            if timer is not None:
                timer.cancel()
        while self._tasks or self._workers:
            for worker in self._workers:
                worker.kill()
            self._changed.clear()
            if self._tasks:
                await asyncio.wait(self._tasks)
            elif self._workers:
                await self._changed.wait()

    def keep(self, worker: WorkerProcess) -> None:
        """Keep a worker that is ready for the next job; one that had something to do is ended."""
        if (deadline := self._deadlines.pop(worker, None)) is None:
            worker.break_off("said that it is ready while it had something to do")
            return
        deadline.cancel()
        self._failures = 0
        self._last_problem = ""
        self._used_s[worker] = worker.cpu_s - self._idly_s.pop(worker, 0.0)
        self._idle.append(worker)
        self._changed.set()

    def replace(self, worker: WorkerProcess) -> None:
        """Start another worker for one that is gone."""
        self._workers.discard(worker)
        self._used_s.pop(worker, None)
        self._idly_s.pop(worker, None)
        if worker in self._idle:
            self._idle.remove(worker)
        if (deadline := self._deadlines.pop(worker, None)) is not None:
            deadline.cancel()
        if not worker.was_ready and not self._closing:
            self._fail(worker.output or f"a worker ended with status {worker.exit_status} before it was ready")
        self._changed.set()
        self._replenish()

    def _replenish(self) -> None:
        if self._closing or self._pause is not None:
            return
        loop = asyncio.get_running_loop()
        while len(self._workers) < self._size:
            worker = WorkerProcess(self._owner)
            self._workers.add(worker)
            self.expect_ready(worker)
            task = loop.create_task(self._start(worker))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _start(self, worker: WorkerProcess) -> None:
        try:
            await worker.start(self._setup, self._directory)
        except OSError as error:
            self._workers.discard(worker)
            self._deadlines.pop(worker).cancel()
            self._fail(f"a worker cannot be started: {error}")
            self._changed.set()

    def _look_at_idle(self) -> None:
        """End idle workers that use the processor, now and from time to time: no deadline holds for them."""
        loop = asyncio.get_running_loop()
        fresh = loop.time() - self._window_began >= IDLE_WINDOW_S
        for worker in self._idle:
            now_s = worker.cpu_s
            used_s = now_s - self._used_s[worker]
            if used_s > IDLE_CPU_S:
                worker.break_off(f"used {used_s:.1f} s of processor time while it had nothing to do")
            if fresh:
                self._used_s[worker] = now_s
        if fresh:
            self._window_began = loop.time()
            self._idly_s.clear()
        self._looking = loop.call_later(IDLE_LOOK_S, self._look_at_idle)

    def _fail(self, problem: str) -> None:
        """Wait before the next attempt, longer each time."""
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._failures, _MOST_DOUBLINGS))
        self._failures += 1
        self._last_problem = problem
        self._on_trouble(problem)
        if self._pause is None:
            self._pause = asyncio.get_running_loop().call_later(pause_s, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._replenish()
