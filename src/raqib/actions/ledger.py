"""The audit trail: one JSON line for every execution and every action, each carrying the hash of the line before.

The file is append-only. A line is written whole and handed to the kernel at once; it reaches the disk within
`SYNC_INTERVAL_S` (a kill does not wait for a disk). A line that a crash tore is cut off when the ledger is next
opened, and a line `ledger_recovered` says how long it was and what its hash was.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Literal

import msgspec

from raqib.errors import RaqibError
from raqib.model.clock import rfc3339

Decision = Literal["done", "refused", "would", "error"]

NO_HASH = "0" * 64
"""What the first line says of the line before."""

SYNC_INTERVAL_S = 1.0
MAX_BACKLOG = 10_000
"""Entries kept in memory while the file cannot be written; beyond it they are counted only."""

_BLOCK = 64 * 1024


class Entry(msgspec.Struct, kw_only=True):
    """One line."""

    seq: int = 0
    time: str = ""
    uuid: str = ""
    """The event's."""
    kind: str = ""
    recipe: str = ""
    reaction: int | None = None
    action: str
    arguments: dict[str, Any] = {}
    decision: Decision
    reason: str = ""
    result: Any = None
    duration_us: int = 0
    prev: str = ""
    """SHA-256 of the line before, without its newline."""


class Head(msgspec.Struct, frozen=True):
    """The last line: its number and its hash. Kept elsewhere, it shows that the end was cut off."""

    seq: int
    hash: str


class Ledger:
    """An open ledger. May be used from several threads."""

    def __init__(self, path: Path) -> None:
        """Open or create the ledger and take up its chain.

        Raises RaqibError if another process has it open, OSError if it cannot be opened.
        """
        self._path = path
        self._lock = threading.Lock()
        self._encoder = msgspec.json.Encoder()
        self._backlog: deque[Entry] = deque()
        self._lost = 0
        self._failure = ""
        self._unsynced = False
        self._seq, self._hash, self._end = 0, NO_HASH, 0
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise RaqibError(f"{path}: the ledger is in use by another process; stop it first") from None
        self._resume()

    @property
    def head(self) -> Head:
        """The last line written."""
        return Head(self._seq, self._hash)

    @property
    def failure(self) -> str:
        """Why the ledger cannot be written; empty if it can."""
        return self._failure

    def append(self, entry: Entry) -> bool:
        """Write an entry; number, time and chain are filled in. False if it had to be kept for later."""
        if not entry.time:
            entry.time = rfc3339(time.time_ns())
        try:
            self._encoder.encode(entry)
        except (TypeError, ValueError) as error:
            # Better a line that says less than one that stops all that follow.
            note = f"the entry's details cannot be written: {error}"
            entry = Entry(time=entry.time, action=ascii(entry.action), decision=entry.decision, reason=ascii(note))
        with self._lock:
            if len(self._backlog) >= MAX_BACKLOG:
                self._lost += 1
                return False
            self._backlog.append(entry)
            return self._flush()

    def writable(self) -> bool:
        """Tell whether everything so far has been written, trying again if it has not."""
        with self._lock:
            return self._flush() if self._backlog else not self._failure

    def sync(self) -> None:
        """Bring what was written to the disk. Blocks."""
        with self._lock:
            wanted, self._unsynced = self._unsynced, False
            fd = self._fd
        if wanted:
            os.fdatasync(fd)

    def close(self) -> None:
        """Sync and close; an entry that still cannot be written is lost."""
        with self._lock:
            if self._fd >= 0:
                self._flush()
                with contextlib.suppress(OSError):
                    os.fdatasync(self._fd)
                os.close(self._fd)
                self._fd = -1

    def _flush(self) -> bool:
        while self._backlog:
            if not self._write(self._backlog[0]):
                return False
            self._backlog.popleft()
        if self._lost:
            lost, self._lost = self._lost, 0
            note = f"{lost} entries could neither be written nor kept"
            if not self._write(_note("ledger_lost", note, {"entries": lost})):
                self._lost += lost
                return False
        return True

    def _write(self, entry: Entry) -> bool:
        entry.seq, entry.prev = self._seq + 1, self._hash
        line = self._encoder.encode(entry)
        end = self._end
        try:
            written = os.write(self._fd, line + b"\n")
            if written != len(line) + 1:
                os.ftruncate(self._fd, end)
                raise OSError(f"only {written} of {len(line) + 1} bytes fitted")
        except OSError as error:
            self._failure = f"{self._path}: {error.strerror or error}"
            return False
        self._failure = ""
        self._unsynced = True
        self._end = end + written
        self._seq, self._hash = entry.seq, hashlib.sha256(line).hexdigest()
        return True

    def _resume(self) -> None:
        """Find the last whole line; cut off what follows it, and say so."""
        size = os.fstat(self._fd).st_size
        whole = _last_newline(self._fd, size) + 1
        torn = os.pread(self._fd, size - whole, whole)
        last = os.pread(self._fd, whole, start := _last_newline(self._fd, whole - 1) + 1)[: whole - 1 - start]
        self._end = whole
        damaged = False
        if whole:
            self._hash = hashlib.sha256(last).hexdigest()
            try:
                self._seq = msgspec.json.decode(last, type=Entry).seq
            except msgspec.DecodeError:
                self._seq, damaged = _count_lines(self._fd, whole), True
        if torn:
            os.ftruncate(self._fd, whole)
            details = {"size": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
            self.append(_note("ledger_recovered", "the last line was not whole and was cut off", details))
        if damaged:
            self.append(_note("ledger_damaged", "the last line is not a ledger entry; the chain goes on from it", {}))


def _note(action: str, reason: str, arguments: dict[str, Any]) -> Entry:
    return Entry(action=action, decision="done", reason=reason, arguments=arguments, time=rfc3339(time.time_ns()))


def _last_newline(fd: int, end: int) -> int:
    """Return the offset of the last newline before `end`, or -1."""
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found
        end = start
    return -1


def _count_lines(fd: int, end: int) -> int:
    return sum(os.pread(fd, min(_BLOCK, end - at), at).count(b"\n") for at in range(0, end, _BLOCK))
