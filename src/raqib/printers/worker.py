"""One printer with its queue and its thread: whatever it does, it does to itself alone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import NamedTuple

import structlog

from raqib.model.event import Event, with_base
from raqib.model.in_flight import Hold
from raqib.printers.compact import compact
from raqib.printers.defaults import MAX_WAITING_BYTES
from raqib.printers.printer import Counts, Printer

_log = structlog.get_logger(__name__)

LATE_S = 0.05
"""A printer that has been busy with one event for longer is not waited for until it has caught up."""

STUCK_S = 1.0
"""A printer that has been busy with one event for longer gives way to the others if room is short."""

BREAK_OFF_S = 0.5
"""How long a printer may take to return once it was closed while printing."""


class Item(NamedTuple):
    """An event on its way."""

    event: Event | None
    """If the printer reads it, or its compact form."""
    line: bytes
    """Its JSON, without a newline; or the beginning of it."""
    rest: tuple[bytes, ...]
    """What follows the line and is shared with others: it does not count here."""
    add_base: bool
    """Whether the JSON is to get the alias `base`."""
    written: Callable[[], None] | None
    """Called, from the printer's thread, once the printer has written the event or failed to."""
    hold: Hold | None
    """Its part in what is in flight."""
    dropped: Callable[[str], None] | None = None
    """Called with the printer's name if it is dropped after all."""

    @property
    def json(self) -> bytes:
        """The whole JSON."""
        return b"".join((self.line, *self.rest)) if self.rest else self.line

    @property
    def size(self) -> int:
        """What it takes while it waits, in bytes: an event's objects about as much as its JSON."""
        return len(self.line) * (1 if self.event is None else 2)

    def over(self) -> None:
        """Tell that the printer needs it no longer."""
        if self.hold is not None:
            self.hold.release()
        if self.written is not None:
            self.written()


class Worker:
    """Feeds a printer from a queue that is bounded in events and bytes.

    An eighth of both is kept for events of high importance and above.
    """

    def __init__(
        self, printer: Printer, queue_size: int, max_bytes: int = MAX_WAITING_BYTES, *, full: bool = False
    ) -> None:
        """`full`: every printer that takes JSON gets all of it."""
        self.printer = printer
        self._full = full
        self._compact = printer.compact and not full and not printer.reads_events
        self._size = queue_size
        self._max_bytes = max_bytes
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        # Each is written by one thread alone.
        self._bytes_in = self._bytes_out = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"printer-{printer.name}", daemon=True)
        self._busy_since: float | None = None
        self._closing = False
        self._abandoned = False
        self._failing = False
        self._written = 0
        self._failed = 0
        self._dropped = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def offer(
        self,
        event: Event,
        line: bytes,
        rest: tuple[bytes, ...] = (),
        *,
        add_base: bool,
        written: Callable[[], None] | None,
        dropped: Callable[[str], None] | None = None,
        hold: Hold | None = None,
    ) -> bool:
        """Queue an event without ever waiting; if there is no room it is dropped, counted, and False returned.

        `line` and `rest` are its JSON, without a newline; `written` is called, from the printer's thread, once the
        printer has written the event or failed to. `hold` is taken until then. `dropped` is called with the printer's
        name if the event waited and is dropped after all.
        """
        kept = event if self.printer.reads_events or self._compact else None
        item = Item(kept, line, rest, add_base and self._full, written, hold, dropped)
        important = event.metadata.importance in ("high", "critical")
        if self._closing or not self._has_room(item.size, important=important):
            self._dropped += 1
            return False
        self._bytes_in += item.size
        if hold is not None:
            hold.acquire()
        self._queue.put(item)
        return True

    def _has_room(self, size: int, *, important: bool) -> bool:
        part = 8 if important else 7
        waiting, waiting_bytes = self._queue.qsize(), self._bytes_in - self._bytes_out
        # The largest event of all is taken too, if it waits alone.
        fits = waiting_bytes + size <= self._max_bytes * part // 8 or not waiting
        return fits and waiting < self._size - (0 if important else self._size // 8)

    @property
    def late(self) -> bool:
        """Whether the printer is stuck, or nearly so."""
        busy_since = self._busy_since
        return busy_since is not None and time.monotonic() - busy_since > LATE_S

    @property
    def stuck(self) -> bool:
        """Whether the printer is busy with one event for so long that it should keep nobody else waiting."""
        busy_since = self._busy_since
        return busy_since is not None and time.monotonic() - busy_since > STUCK_S

    def give_way(self) -> bool:
        """Drop what waits, and count it; return whether there was any."""
        before = self._dropped
        self._drop_waiting()
        return self._dropped > before

    def miss(self) -> None:
        """Count an event that it is not even offered."""
        self._dropped += 1

    @property
    def counts(self) -> Counts:
        """What became of the events so far."""
        return Counts(self._written, self._failed, self._dropped, self._queue.qsize())

    def ask_to_end(self) -> None:
        """Take no further events; the thread ends when the queue is empty."""
        self._closing = True
        self._queue.put(None)

    def end(self, deadline: float) -> None:
        """Wait for the thread until `deadline` (of `time.monotonic`), then break off what it still does."""
        if self._thread.ident is None:
            self._close_printer()
            self._drop_waiting()
            return
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._abandoned = True
            self._close_printer()
            self._thread.join(BREAK_OFF_S)
            self._drop_waiting()
            _log.warning("printer closing failed: out of time", printer=self.printer.name, dropped=self._dropped)

    def _run(self) -> None:
        while not self._abandoned and (item := self._queue.get()) is not None:
            self._busy_since = time.monotonic()
            try:
                self._print(item)
            except Exception as error:
                self._failed += 1
                self._say_failing(error)
            else:
                self._written += 1
                self._say_working()
            self._busy_since = None
            with self._lock:
                self._bytes_out += item.size
            item.over()
            # It would be held until the next one comes.
            del item
        if not self._abandoned:
            self._close_printer()

    def _print(self, item: Item) -> None:
        if self.printer.reads_events:
            self.printer.print(item.event, item.json)
        elif self._compact and item.event is not None:
            self.printer.print(None, compact(item.event))
        else:
            self.printer.print(None, with_base(item.json) if item.add_base else item.json)

    def _drop_waiting(self) -> None:
        """Drop all that waits; whoever waits for it need not."""
        with contextlib.suppress(Empty):
            while True:
                item = self._queue.get_nowait()
                if item is None:
                    if self._thread.is_alive() and not self._abandoned:
                        # The thread ends by it.
                        self._queue.put(None)
                        return
                    continue
                self._dropped += 1
                with self._lock:
                    self._bytes_out += item.size
                if item.dropped is not None:
                    item.dropped(self.printer.name)
                item.over()

    def _close_printer(self) -> None:
        try:
            self.printer.close()
        except Exception as error:
            _log.warning("printer failed while closing", printer=self.printer.name, error=str(error))

    def _say_failing(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            _log.warning(
                "printer failed; further failures are only counted", printer=self.printer.name, error=str(error)
            )

    def _say_working(self) -> None:
        if self._failing:
            self._failing = False
            _log.info("printer works again", printer=self.printer.name, failed=self._failed)
