"""What the agent makes of SIGHUP: a terminal that is gone ends it in order, anything else does not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

import structlog

LOOK_AGAIN_S = 1.0
"""A shell may send the signal on its way out, with the terminal still there."""


class Hangup:
    """Listens for the signal as long as its context is open."""

    def __init__(self, stop: Callable[[], None]) -> None:
        """Prepare, in the running event loop."""
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._before = signal.getsignal(signal.SIGHUP)
        # With nohup(1) it is ignored from the start: who asked for that wants it to outlive the terminal.
        self._follows = self._before is not signal.SIG_IGN and terminal_is_there()
        self._again: asyncio.TimerHandle | None = None
        self._log = structlog.get_logger()

    def __enter__(self) -> None:
        """Begin."""
        self._loop.add_signal_handler(signal.SIGHUP, self._hung_up)

    def __exit__(self, *exception: object) -> None:
        """End. Where the terminal is gone, more of the same may come: from the kernel and from each shell."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if self._gone() else self._before)

    def _gone(self) -> bool:
        return self._follows and not terminal_is_there()

    def _hung_up(self) -> None:
        if self._gone():
            self._end()
            return
        self._log.info("SIGHUP is ignored; SIGTERM or SIGINT ends raqib")
        if self._follows and self._again is None:
            self._again = self._loop.call_later(LOOK_AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        self._again = None
        if self._gone():
            self._end()

    def _end(self) -> None:
        self._log.warning("the terminal that raqib was started on is gone: it stops")
        self._stop()


def terminal_is_there() -> bool:
    """Return whether this process has a controlling terminal that still works."""
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with contextlib.suppress(OSError):
        os.close(fd)
    return True
