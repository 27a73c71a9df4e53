"""Hands each event to every printer and tells when the local ones have written it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence

from raqib.model.event import Event
from raqib.model.in_flight import Hold
from raqib.printers.defaults import MAX_WAITING_BYTES
from raqib.printers.printer import Counts, Printer
from raqib.printers.worker import LATE_S, Worker


class Handed:
    """An event on its way to the local printers. Made by `Printers.submit`, awaited by `Printers.printed`."""

    __slots__ = ("_lock", "_open", "_waiters", "dropped_by")

    def __init__(self, printers: int) -> None:
        self.dropped_by: list[str] = []
        """The names of the printers that had no room for it, or dropped it since."""
        self._open = printers
        self._lock = threading.Lock()
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    @property
    def done(self) -> bool:
        """Whether every local printer has written it, or failed to."""
        return self._open == 0

    def settle(self) -> None:
        """Count one local printer as through with it. May be called from any thread."""
        with self._lock:
            self._open -= 1
            waiters = self._waiters if self._open == 0 else []
        for loop, future in waiters:
            # A closed loop has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_finish, future)

    def wait(self) -> asyncio.Future[None] | None:
        """Return what becomes done when the event is printed, or None if it is."""
        with self._lock:
            if self._open == 0:
                return None
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            self._waiters.append((loop, future))
            return future


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Printers:
    """All printers that are enabled. One that fails or is slow affects neither the others nor the caller."""

    def __init__(
        self,
        printers: Sequence[Printer],
        *,
        queue_size: int = 4096,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        full: bool = False,
    ) -> None:
        """`queue_size` is the number of events that may wait for one printer, `max_waiting_bytes` their memory.

        `full`: all printers that take JSON get the whole form of events, with the alias `base`.
        """
        self._workers = [Worker(printer, queue_size, max_waiting_bytes, full=full) for printer in printers]

    def start(self) -> None:
        """Start a thread for each printer."""
        for worker in self._workers:
            worker.start()

    def submit(
        self,
        event: Event,
        line: bytes,
        rest: tuple[bytes, ...] = (),
        *,
        add_base: bool = False,
        hold: Hold | None = None,
    ) -> Handed:
        """Hand an event, and its JSON without a newline, to every printer. Never waits.

        `rest` follows the line and is shared with other events. `add_base`: it has no alias `base` yet, and is to get
        one where everything is asked for. `hold` is taken for each printer until that needs it no longer.
        """
        waited_for = [worker for worker in self._workers if worker.printer.local and not worker.late]
        handed = Handed(len(waited_for))
        for worker in self._workers:
            written = handed.settle if worker in waited_for else None
            dropped = handed.dropped_by.append
            if not worker.offer(event, line, rest, add_base=add_base, written=written, dropped=dropped, hold=hold):
                dropped(worker.printer.name)
                if written is not None:
                    written()
        return handed

    def give_way(self) -> bool:
        """Let printers that are stuck drop what waits for them, if others work; return whether that made room."""
        stuck = [worker for worker in self._workers if worker.stuck]
        return 0 < len(stuck) < len(self._workers) and sum(worker.give_way() for worker in stuck) > 0

    def miss(self) -> None:
        """Count an event for which there is no room at all."""
        for worker in self._workers:
            worker.miss()

    async def printed(self, handed: Handed, timeout_s: float = LATE_S) -> None:
        """Return once the local printers have written the event, or `timeout_s` is gone."""
        future = handed.wait()
        if future is None:
            return
        # Half the cost of asyncio.wait, and reactions wait for this.
        timer = asyncio.get_running_loop().call_later(timeout_s, _finish, future)
        try:
            await future
        finally:
            timer.cancel()

    @property
    def counts(self) -> dict[str, Counts]:
        """What became of the events so far, by the printer's name."""
        return {worker.printer.name: worker.counts for worker in self._workers}

    def close(self, timeout_s: float = 2.0) -> None:
        """Let the printers write what waits, for `timeout_s` in all, then close them; the rest counts as dropped."""
        deadline = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.ask_to_end()
        for worker in self._workers:
            worker.end(deadline)
