"""How soon the scheduler lets the agent run once something has happened."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from contextlib import AsyncExitStack

_SYSCALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}
_FAIR_POLICIES = (os.SCHED_OTHER, os.SCHED_BATCH)

SLICE_NS = 100_000
"""The shortest slice that Linux grants."""

INTERPRETER_SLICE_S = 0.0002
"""How long a thread may keep the interpreter from another that waits for it."""


class SchedulingAttributes(ctypes.Structure):
    """`struct sched_attr` in its first version, which every kernel takes (sched_setattr(2))."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def attributes(thread: int = 0) -> SchedulingAttributes | None:
    """Return how a thread, by default the calling one, is scheduled; None where this cannot be asked."""
    found = SchedulingAttributes()
    size = ctypes.sizeof(found)
    told = _call(1, ctypes.c_int(thread), ctypes.byref(found), ctypes.c_uint(size), ctypes.c_uint(0))
    return found if told else None


def use_short_slices() -> bool:
    """Let the calling thread, and whatever it starts from now on, run sooner, in shorter pieces.

    It gets no more of the processor than before: a thread of short slices that wakes up goes before one of longer
    slices that runs (Linux 6.12; older ones change nothing). Returns whether the kernel took it; whoever set a policy
    of its own, real time for one, keeps it.
    """
    wanted = attributes()
    if wanted is None or wanted.policy not in _FAIR_POLICIES:
        return False
    wanted.runtime_ns = SLICE_NS
    return _call(0, ctypes.c_int(0), ctypes.byref(wanted), ctypes.c_uint(0))


def use_short_interpreter_slices(stack: AsyncExitStack) -> None:
    """Let threads wait for the interpreter no longer than `INTERPRETER_SLICE_S`, until the stack is closed.

    A printer needs it anew after each system call: at the usual 5 ms, the loop's thread is ahead of it by hundreds of
    events when many come at once.
    """
    stack.callback(sys.setswitchinterval, sys.getswitchinterval())
    sys.setswitchinterval(INTERPRETER_SLICE_S)


def _call(number: int, *arguments: object) -> bool:
    numbers = _SYSCALLS.get(platform.machine())
    return numbers is not None and ctypes.CDLL(None).syscall(ctypes.c_long(numbers[number]), *arguments) == 0
