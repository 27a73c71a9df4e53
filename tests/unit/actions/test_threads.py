"""Threads for calls that may block."""

from __future__ import annotations

import asyncio
import threading

import pytest

from raqib.actions import threads as threads_module
from raqib.actions.threads import LeftBehindError, Threads


def test_without_a_thread_the_call_fails_and_a_later_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def run() -> list[object]:
        threads = Threads(2, "test", leave=True)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                with pytest.raises(LeftBehindError, match="no thread can be started"):
                    await threads.run("a", lambda: 1)
            found: list[object] = [await threads.run("a", lambda: 2)]
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                # There is one already.
                found.append(await threads.run("a", lambda: 3))
            return found
        finally:
            threads.close()

    assert [2, 3] == asyncio.run(asyncio.wait_for(run(), 60))


def test_a_slow_call_without_another_thread_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads_module, "LEFT_AFTER_S", 0.0)
    gate = threading.Event()

    def refuse(thread: threading.Thread) -> None:
        gate.set()
        raise RuntimeError("can't start new thread")

    async def run() -> list[object]:
        threads = Threads(1, "test", leave=True)
        try:
            assert 1 == await threads.run("a", lambda: 1)
            monkeypatch.setattr(threading.Thread, "start", refuse)
            return [await threads.run("a", gate.wait), await threads.run("a", lambda: 2)]
        finally:
            threads.close()

    assert [True, 2] == asyncio.run(asyncio.wait_for(run(), 60))
