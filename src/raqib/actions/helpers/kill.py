"""Helpers that kill processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping

from raqib.actions.context import ActionContext
from raqib.actions.declare import Argument, Arguments, Checked, Description, Done, Failed, Helper, Plan, Refused, Result
from raqib.actions.kill_guards import refusal
from raqib.host.procfs import TICK_NS, has_exited, is_same, read_stat
from raqib.model.process import ProcessKey

WAIT_S = 1.0
"""How long a kill waits for the process to be gone."""


Target = Callable[[ActionContext, Arguments], ProcessKey | Failed | Refused]
"""Which process a helper means, as far as the event tells; start 0: any of that pid that started before the event."""


def current(context: ActionContext, arguments: Arguments) -> ProcessKey | Failed | Refused:
    """Return the process of the event."""
    return context.detection.process.key if context.detection.ancestry else Failed("the event has no process")


def _parent(context: ActionContext, arguments: Arguments) -> ProcessKey | Failed | Refused:
    if not context.detection.ancestry:
        return Failed("the event has no process")
    parent = context.detection.parent
    key = parent.key if parent is not None else context.detection.process.parent
    return key if key.pid > 0 else Failed("the parent is not known")


def _given(context: ActionContext, arguments: Arguments) -> ProcessKey | Failed | Refused:
    pid: int = arguments[0]
    if not 1 <= pid <= 2**31 - 1:
        return Failed(f"expected a pid of 1 or more, got {pid}")
    settings = context.services.settings
    if pid < settings.min_pid:
        return Refused(f"pid {pid} is below min_pid ({settings.min_pid})")
    for process in reversed(context.detection.ancestry):
        for key in (process.key, process.parent):
            if key.pid == pid:
                return key
    return ProcessKey(pid, 0)


TARGETS: Mapping[str, Target] = {
    "KillCurrent": current,
    "KillParent": _parent,
    "KillProcess": _given,
    "KillTree": current,
}
"""By the helper's name."""


def hold(context: ActionContext, key: ProcessKey) -> int | Done | Refused | Failed:
    """Return a descriptor of the process of a key (start 0: any that started before the event) if it may be killed."""
    pid = key.pid
    details = {"pid": pid}
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return Done(1, f"pid {pid} is already gone", details)
    except OSError as error:
        return Failed(f"pid {pid}: {error.strerror}", details)
    verdict = _verdict(context, key, pidfd)
    if verdict is not None:
        os.close(pidfd)
        return verdict
    return pidfd


def _kill_what(target: Target) -> Callable[[ActionContext, Arguments], Checked]:
    def check(context: ActionContext, arguments: Arguments) -> Checked:
        key = target(context, arguments)
        return _check(context, key) if isinstance(key, ProcessKey) else key

    return check


def _check(context: ActionContext, key: ProcessKey) -> Checked:
    pid = key.pid
    pidfd = hold(context, key)
    if not isinstance(pidfd, int):
        return pidfd
    return Plan(lambda: _kill(pidfd, pid), would=0, details={"pid": pid}, release=lambda: os.close(pidfd))


def _verdict(context: ActionContext, key: ProcessKey, pidfd: int) -> Done | Refused | None:
    pid = key.pid
    details = {"pid": pid}
    # Read after the descriptor was opened: what agrees with the event cannot be a later process of the same pid.
    found = read_stat(pid)
    # A first thread that has ended is a zombie while others run: only the descriptor tells.
    if found is None or has_exited(pidfd):
        return Done(1, f"pid {pid} is already gone", details)
    if key.start_ns and not is_same(key, found):
        return Done(1, f"pid {pid} is already gone, its number is another process's now", details)
    if not key.start_ns and found.start_ticks > context.detection.timestamp_ns // TICK_NS:
        return Refused(f"pid {pid} started after the event", details)
    refused = refusal(context, pid, found)
    return Refused(refused.reason, details) if refused else None


def _kill(pidfd: int, pid: int) -> Result | Awaitable[Result]:
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return Done(1, f"pid {pid} is already gone")
    except OSError as error:
        return Failed(f"pid {pid}: {error.strerror}")
    return _wait(pidfd, pid)


async def _wait(pidfd: int, pid: int) -> Result:
    if await wait_until_gone(pidfd):
        return Done(0)
    return Failed(f"pid {pid} got the signal, but was not gone within {WAIT_S:g} s")


async def wait_until_gone(pidfd: int) -> bool:
    """Wait for the end of a process, at most `WAIT_S`; False if it is still there."""
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()
    loop.add_reader(pidfd, _resolve, gone)
    try:
        async with asyncio.timeout(WAIT_S):
            await gone
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(pidfd)
    return True


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _helper(name: str, *arguments: Argument, about: Description) -> Helper:
    return Helper(
        name, arguments, about=about, check=_kill_what(TARGETS[name]), budget="kills", survives_ledger_failure=True
    )


KILL_RESULT = "0: killed. 1: already gone, or its pid is another process's now. -1: not killed"
KILL_ERRORS = (
    "the event has no process; a guard (pid 1, kernel threads, raqib, its workers and ancestors, protected programs);"
    " the recipe's budget; not gone within 1 s"
)

HELPERS = (
    _helper(
        "KillCurrent",
        about=Description(
            summary="Kills the process that triggered the event and waits until it is gone, at most 1 s.",
            result=KILL_RESULT,
            errors=KILL_ERRORS,
            example="Info(KillCurrent(), KillCurrent(), Errno() !== '');",
            prints="0 1 true",
        ),
    ),
    _helper(
        "KillParent",
        about=Description(
            summary="Kills the parent that the process had at the time of the event.",
            result=KILL_RESULT,
            errors=f"the parent is not known; {KILL_ERRORS}",
            example="if (KillParent() < 0) Warn('the parent lives: ' + Errno()); else Info('done');",
            prints="done",
        ),
    ),
    _helper(
        "KillProcess",
        Argument("pid", "integer"),
        about=Description(
            summary=(
                "Kills a process by its pid: one that occurs in the event is that very process, any other must have"
                " started"
                " before the event."
            ),
            result=KILL_RESULT,
            errors=f"below `min_pid`; started after the event; {KILL_ERRORS}",
            example="const parent = data.process.ppid;\nInfo(KillProcess(parent), KillProcess(1), Errno());",
            prints="0 -1 pid 1 is below min_pid (500)",
        ),
    ),
)
