from __future__ import annotations

import asyncio
import os
import time

import pytest

from raqib.reactions import pool as pool_module
from raqib.reactions.pool import LONGEST_PAUSE_S, WorkerPool
from raqib.reactions.process import WorkerProcess, cpu_s
from raqib.reactions.protocol import Setup, ToDaemon

SETUP = Setup(helpers=(), heap_bytes=0, data_bytes=0, max_data_bytes=0, parent_pid=0, uid=None)


class Listener:
    """Hears what the pool reports."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.thrice = asyncio.Event()

    def worker_ready(self, worker: WorkerProcess) -> None:
        """None comes up."""

    def worker_said(self, worker: WorkerProcess, message: ToDaemon) -> None:
        """Nothing is said."""

    def worker_gone(self, worker: WorkerProcess) -> None:
        """Nothing ran."""

    def troubled(self, problem: str) -> None:
        self.problems.append(problem)
        if len(self.problems) == 3:
            self.thrice.set()


def test_attempts_go_on_however_many_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(worker: WorkerProcess, setup: Setup, directory: int) -> None:
        raise OSError("no processes left")

    monkeypatch.setattr(WorkerProcess, "start", fail)
    monkeypatch.setattr(pool_module, "LONGEST_PAUSE_S", 0.001)

    async def run() -> list[str]:
        listener = Listener()
        pool = WorkerPool(listener, listener.troubled, 1, SETUP, -1)
        pool._failures = 5000
        pool._replenish()
        async with asyncio.timeout(60):
            await listener.thrice.wait()
        await pool.close()
        return listener.problems

    assert ["a worker cannot be started: no processes left"] * 3 == asyncio.run(run())[:3]


def test_pauses_become_longer_up_to_a_limit() -> None:
    async def run() -> list[float]:
        pool = WorkerPool(listener := Listener(), listener.troubled, 1, SETUP, -1)
        loop = asyncio.get_running_loop()
        pauses = []
        for _ in range(9):
            pool._fail("")
            assert pool._pause is not None
            pauses.append(round(pool._pause.when() - loop.time(), 1))
            pool._pause.cancel()
            pool._pause = None
        return pauses

    assert [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, LONGEST_PAUSE_S, LONGEST_PAUSE_S] == asyncio.run(run())


class Idle(WorkerProcess):
    """Used so much processor time as the test says."""

    used_s = 5.0

    @property
    def cpu_s(self) -> float:
        return self.used_s

    @property
    def alive(self) -> bool:
        return True


def test_only_time_that_was_used_while_idle_counts() -> None:
    async def run() -> list[str]:
        pool = WorkerPool(listener := Listener(), listener.troubled, 1, SETUP, -1)
        worker = Idle(listener)
        seen = []

        def look(used_s: float) -> None:
            worker.used_s += used_s
            pool._look_at_idle()
            seen.append(worker.violation)

        for _ in range(2):
            pool.expect_ready(worker)
            pool.keep(worker)
            look(0)
            look(0.25)
            assert pool.acquire() is worker
            look(100)
        pool.expect_ready(worker)
        pool.keep(worker)
        look(0)
        # What it used before its jobs counts as well.
        look(0.25)
        assert pool.acquire() is None
        await pool.close()
        return seen

    *earlier, last = asyncio.run(run())
    assert [""] * 7 == earlier
    assert "used 0.8 s of processor time while it had nothing to do" == last


def test_processor_time_is_that_of_the_kernel() -> None:
    before = cpu_s(os.getpid())
    begun = time.process_time()
    while time.process_time() - begun < 0.1:
        pass
    assert before + 0.05 < cpu_s(os.getpid()) < time.process_time() + 0.05
    assert 0 == cpu_s(1 << 22)
