"""Where lines of raqib's own log go: a thread writes them, and whoever logs never waits."""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TextIO

from raqib.printers.terminal import encoding

MOST_BYTES = 1 << 20
"""What may wait to be written."""
FLUSH_S = 1.0
"""How long the end waits for what does."""


class _Line(NamedTuple):
    data: bytes
    covers: int
    """How many dropped lines this one tells of."""


class Sink:
    """Writes lines to a file for as long as there is one that takes them.

    Whoever logs goes on: a terminal that is gone or stopped (Ctrl-S), a reader that does not read, a full disk or one
    that hangs must not hold up, or end, what the lines are about. What finds no room is dropped, and told of once
    lines are written again.
    """

    def __init__(self, file: TextIO | None, tell_dropped: Callable[[int], None] = lambda count: None) -> None:
        """`tell_dropped` is to log, from the thread that writes, how many lines are missing."""
        self.file = file
        self._encoding = encoding() if file is not None and file.isatty() else "utf-8"
        self._tell_dropped = tell_dropped
        self._lines: deque[_Line] = deque()
        self._changed = threading.Condition()
        self._waiting_bytes = 0
        """With what is being written."""
        self._dropped = self._covering = 0
        self._torn = False
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Queue it. Never waits; may be called from any thread."""
        if self.file is None:
            return
        data = text.encode(self._encoding, "backslashreplace")
        with self._changed:
            covers = self._covering if threading.current_thread() is self._thread else 0
            if self._waiting_bytes and self._waiting_bytes + len(data) > MOST_BYTES and not covers:
                self._dropped += 1
                return
            self._lines.append(_Line(data, covers))
            self._waiting_bytes += len(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
                atexit.register(self.wait_written)
            self._changed.notify_all()

    def flush(self) -> None:
        """Do nothing: the thread holds nothing back."""

    def wait_written(self, timeout_s: float = FLUSH_S) -> bool:
        """Wait until all lines are written, or failed to be; False if they are not by then."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting_bytes, timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                line = self._lines.popleft()
            is_written = self._put(line.data)
            with self._changed:
                self._dropped += -line.covers if is_written else (not line.covers)
                # Told in its place: behind what was queued before there was no room.
                missing = self._dropped if is_written and not self._lines else 0
            if missing:
                self._tell(missing)
            with self._changed:
                self._waiting_bytes -= len(line.data)
                self._changed.notify_all()

    def _tell(self, missing: int) -> None:
        self._covering = missing
        try:
            self._tell_dropped(missing)
        finally:
            self._covering = 0

    def _put(self, data: bytes) -> bool:
        """Write a line, or as much as can be of it; tell whether that was all."""
        assert self.file is not None  # noqa: S101
        rest = memoryview(b"\n" + data if self._torn else data)
        try:
            while rest:
                rest = rest[os.write(self.file.fileno(), rest) :]
                self._torn = True
        except (OSError, ValueError):
            return False
        self._torn = False
        return True
