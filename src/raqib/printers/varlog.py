"""The printer for a log file: JSON lines, rotated by size."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import structlog

from raqib.errors import RaqibError
from raqib.model.event import Event
from raqib.printers.defaults import VARLOG_KEPT, VARLOG_MAX_BYTES, VARLOG_PATH
from raqib.printers.escape import json_line

_log = structlog.get_logger(__name__)

_NEWLINE = ord("\n")


def older_file(path: Path, number: int) -> Path:
    """Return where an older file of an event log is; 1 is the newest."""
    return path.with_name(f"{path.name}.{number}")


class VarlogPrinter:
    """Appends every event to a file at once, without a buffer of its own: a crash of the daemon loses nothing.

    The disk is not waited for (no fsync): reactions wait for this printer. Whoever renames, removes or truncates the
    file meanwhile, as logrotate does, finds the next event in a new file of that name.
    """

    name = "varlog"
    local = True
    compact = False
    reads_events = False

    def __init__(self, path: Path = VARLOG_PATH, *, max_bytes: int = VARLOG_MAX_BYTES, keep: int = VARLOG_KEPT) -> None:
        """Rotate before the file exceeds `max_bytes`; `keep` older files stay as path.1 (the newest) to path.N.

        Raises RaqibError if the file cannot be opened or is not a regular one.
        """
        if max_bytes < 1 or keep < 1:
            raise ValueError(f"expected max_bytes and keep of at least 1, got {max_bytes} and {keep}")
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._fd = -1
        self._identity = (0, 0)
        self._torn = False
        self._stuck = False
        try:
            self._open()
        except OSError as error:
            raise RaqibError(
                f"expected an event log to append to, found: {error.strerror}: {path}; free the path or set another"
            ) from error

    def print(self, event: Event | None, line: bytes) -> None:
        """Append the event. Raises OSError, for one if the disk is full; the next event is tried anew."""
        text = json_line(line) + b"\n"
        size = self._size_if_current()
        if size is None:
            self._open()
        elif size > 0 and size + len(text) > self._max_bytes:
            self._try_to_rotate()
        if self._torn:
            text = b"\n" + text
        written = 0
        try:
            while written < len(text):
                written += os.write(self._fd, memoryview(text)[written:])
        finally:
            # A part of a line must not become the beginning of the next; where nothing was written, nothing is torn.
            if written:
                self._torn = text[written - 1] != _NEWLINE

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _size_if_current(self) -> int | None:
        """Return the file's size in bytes, or None if the open file is not the one of that name."""
        try:
            now = self._path.lstat()
        except FileNotFoundError:
            return None
        return now.st_size if (now.st_dev, now.st_ino) == self._identity else None

    def _open(self) -> None:
        self.close()
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        # O_NONBLOCK: opening a FIFO must fail, not wait. Reading is for the look at the last byte.
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, 0o640)
        except FileExistsError:
            fd = os.open(self._path, flags)
        else:
            os.fchmod(fd, 0o640)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise RaqibError(f"expected a regular file for the event log, found another kind: {self._path}; remove it")
        self._fd = fd
        self._identity = (status.st_dev, status.st_ino)
        self._torn = status.st_size > 0 and os.pread(fd, 1, status.st_size - 1) != b"\n"

    def _try_to_rotate(self) -> None:
        """Rotate; if that is impossible, as in an append-only directory, say so once and let the file grow."""
        try:
            self._rotate()
        except OSError as error:
            if not self._stuck:
                _log.warning("event log rotation failed: the file grows", path=str(self._path), error=str(error))
            self._stuck = True
            if self._fd < 0:
                raise
        else:
            self._stuck = False

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            older = older_file(self._path, number)
            newer = older_file(self._path, number - 1) if number > 1 else self._path
            with contextlib.suppress(FileNotFoundError):
                newer.rename(older)
        self._open()
