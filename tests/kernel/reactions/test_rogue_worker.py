"""A worker that breaks the protocol, or dies, costs one execution and nothing else."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from pathlib import Path

import pytest

from raqib.model.execution import LogLine
from raqib.reactions import pool, process

from .conftest import Host, RunScenario


@pytest.fixture
def rogue_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path(__file__).parent / "hooks" / "rogue.py"
    wrapper = f"import runpy, sys; runpy.run_path({str(script)!r}, run_name='__main__')"
    monkeypatch.setattr(process, "WORKER_ARGUMENTS", ("-I", "-c", wrapper))


@pytest.mark.usefixtures("rogue_workers")
@pytest.mark.parametrize(
    ("trick", "violation"),
    [
        ("garbage", "expected a message, got"),
        ("huge frame", "expected a frame of at most"),
        ("unknown helper", "a known helper, got '__import__'"),
        ("unknown level", "a known level between two calls, got 'critical'"),
        ("unknown outcome", "expected an outcome, got 'perfect'"),
        ("ready while busy", "ready while it had something to do"),
        ("setup", "expected a message, got"),
        ("two calls at once", "more before the answer"),
        ("end during a call", "more before the answer"),
    ],
)
def test_violations_end_the_worker(run_scenario: RunScenario, trick: str, violation: str) -> None:
    async def scenario(host: Host) -> None:
        await host.warm(3)
        before = set(host.reactions.worker_pids)
        for _ in range(2):
            finished = await host.run(trick)
            assert finished.outcome == "crashed"
            assert violation in finished.error
        await host.warm(3)
        assert len(before & set(host.reactions.worker_pids)) == 1

    run_scenario(scenario)


@pytest.mark.usefixtures("rogue_workers")
def test_a_worker_that_does_not_read(
    run_scenario: RunScenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MAX_UNREAD", 2 << 20)
    (tmp_path / "large").write_bytes(b"x" * (1 << 20))

    async def scenario(host: Host) -> None:
        finished = await host.run(str(tmp_path / "large"))
        assert finished.outcome == "crashed"
        assert "does not read the answers" in finished.error
        assert finished.actions[0].value == "1048576 characters"

    run_scenario(scenario, timeout_s=30)


def test_a_worker_that_dies_is_reported_and_replaced(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        await host.warm(3)

        def kill_worker(line: object) -> None:
            for worker in host.reactions._running:
                os.kill(worker.pid, signal.SIGSEGV)

        host.on_log = kill_worker
        finished = await host.run("function process() { Info('now'); for (;;) ; }")
        host.on_log = host.lines.append
        assert finished.outcome == "crashed"
        assert "signal 11" in finished.error
        assert (await host.run("function process() {}")).outcome == "ok"
        await host.warm(3)

    run_scenario(scenario, timeout_s=10)


def test_an_idle_worker_that_was_killed_takes_no_reaction_with_it(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        await host.warm(3)
        for pid in host.reactions.worker_pids[:2]:
            pidfd = os.pidfd_open(pid)
            os.kill(pid, signal.SIGKILL)
            select.select([pidfd], [], [], 5)
            os.close(pidfd)
        assert (await host.run("function process() {}")).outcome == "ok"

    run_scenario(scenario)


@pytest.mark.usefixtures("rogue_workers")
def test_a_worker_that_is_busy_between_its_jobs_is_replaced(
    run_scenario: RunScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "IDLE_LOOK_S", 0.2)

    async def scenario(host: Host) -> None:
        await host.warm(3)
        told = asyncio.Event()

        def on_log(line: LogLine) -> None:
            host.lines.append(line)
            told.set()

        host.on_log = on_log
        async with asyncio.timeout(60):
            while not told.is_set():
                # It always has something to do before it is looked at twice.
                assert "ok" == (await host.run("spin between jobs")).outcome
                await asyncio.wait([asyncio.create_task(told.wait())], timeout=0.05)

    host = run_scenario(scenario)
    assert "of processor time while it had nothing to do" in host.texts[0]


@pytest.mark.usefixtures("rogue_workers")
def test_a_worker_that_is_busy_with_nothing_is_replaced(
    run_scenario: RunScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "IDLE_LOOK_S", 0.05)

    async def scenario(host: Host) -> None:
        await host.warm(3)
        before = set(host.reactions.worker_pids)
        told = host.next_line()
        finished = await host.run("spin while idle")
        assert "ok" == finished.outcome
        async with asyncio.timeout(60):
            await told.wait()
        await host.warm(3)
        # Those that do nothing are left alone.
        assert {finished.worker_pid} == before - set(host.reactions.worker_pids)

    host = run_scenario(scenario)
    (text,) = host.texts
    assert "an idle worker broke the protocol and was ended: used 0." in text
    assert "s of processor time while it had nothing to do" in text
