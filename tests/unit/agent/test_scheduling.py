"""How the agent is scheduled."""

from __future__ import annotations

import ctypes
import os
import threading

import pytest

from raqib.agent import scheduling
from raqib.agent.scheduling import SLICE_NS, attributes, use_short_slices


def grants_slices() -> bool:
    """Kernels before 6.12 say 0 whatever they were asked for."""
    found = attributes()
    return found is not None and found.runtime_ns > 0


def take_long_slices() -> None:
    """Undo what the thread that started this one may have taken."""
    wanted = attributes()
    assert wanted is not None
    wanted.runtime_ns = 2 * SLICE_NS
    assert scheduling._call(0, ctypes.c_int(0), ctypes.byref(wanted), ctypes.c_uint(0))


def in_thread(work: object) -> list[object]:
    told: list[object] = []
    thread = threading.Thread(target=lambda: told.append(work()))  # type: ignore[operator]
    thread.start()
    thread.join()
    return told


@pytest.mark.skipif(not grants_slices(), reason="this kernel has no slices of a thread's own")
def test_threads_and_programs_that_are_started_later_run_sooner_too() -> None:
    def slices() -> tuple[int, object, int]:
        take_long_slices()
        before = attributes()
        assert use_short_slices()
        child = os.fork()
        if child == 0:
            os._exit(0 if getattr(attributes(), "runtime_ns", 0) == SLICE_NS else 1)
        _, status = os.waitpid(child, 0)
        (of_thread,) = in_thread(lambda: getattr(attributes(), "runtime_ns", 0))
        assert before is not None
        assert before.runtime_ns != SLICE_NS
        return status, of_thread, getattr(attributes(), "runtime_ns", 0)

    assert [(0, SLICE_NS, SLICE_NS)] == in_thread(slices)


def test_whoever_chose_a_policy_keeps_it() -> None:
    def idle() -> tuple[bool, int]:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        return use_short_slices(), os.sched_getscheduler(0)

    assert [(False, os.SCHED_IDLE)] == in_thread(idle)


def test_niceness_is_kept() -> None:
    def nice() -> tuple[bool, int]:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 7)
        return use_short_slices(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert [(True, 7)] == in_thread(nice)
