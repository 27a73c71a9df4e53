"""The audit trail: one JSON line for every execution and every action, each carrying the hash of the line before.

The file is append-only. A line is written whole and handed to the kernel at once; it reaches the disk within
`SYNC_INTERVAL_S` (a kill does not wait for a disk). A line that a crash tore is cut off when the ledger is next
opened, and a line `ledger_recovered` says how long it was and what its hash was.

A file that has grown to its limit becomes an archive, and the chain goes on in a fresh one. Of more archives than are
to be kept the oldest are removed; a line `ledger_pruned` vouches for the number and the hash that they ended with.

Nobody who appends waits for the disk: under the lock there are only writes and changes of names, and whatever waits
(syncing, removing archives) is done by `sync`, outside of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from raqib.errors import RaqibError
from raqib.ledger.archives import archives, set_aside, sync_directory
from raqib.ledger.lines import count_lines, cut_torn, first_line, last_line, last_newline
from raqib.model.clock import rfc3339
from raqib.model.execution import Decision

NO_HASH = "0" * 64
"""What the first line says of the line before."""

SYNC_INTERVAL_S = 1.0
MAX_BACKLOG = 10_000
"""Entries kept in memory while the file cannot be written; beyond it they are counted only."""

MAX_FILE_BYTES = 16 << 20
"""A file that has reached it is set aside."""

KEPT_ARCHIVES = 64


_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


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

    def __str__(self) -> str:
        """Return `SEQ:HASH`, as logs carry it and `parse_head` reads it."""
        return f"{self.seq}:{self.hash}"


def parse_head(text: str) -> Head:
    """Read `SEQ:HASH`. Raises ValueError."""
    number, _, digest = text.partition(":")
    if not number.isascii() or not number.isdigit() or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"expected SEQ:HASH, a number and 64 hexadecimal digits, found {text!r}")
    return Head(int(number), digest)


class Ledger:
    """An open ledger. May be used from several threads."""

    def __init__(self, path: Path, max_bytes: int = MAX_FILE_BYTES, keep: int = KEPT_ARCHIVES) -> None:
        """Open or create the ledger and take up its chain.

        A file of `max_bytes` is set aside, and `keep` of those are kept.

        Raises RaqibError if another process has it open, OSError if it cannot be opened.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._retired: list[int] = []
        """Files set aside, whose ends may not be on the disk yet."""
        self._rotate_at = max_bytes
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        self._encoder = msgspec.json.Encoder()
        self._backlog: deque[Entry] = deque()
        self._lost = 0
        self._failure = ""
        self._unsynced = False
        self._seq, self._hash, self._end, self._first = 0, NO_HASH, 0, 1
        self._fd = os.open(path, _FLAGS, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(self._fd, path):
                raise BlockingIOError
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
                self._flush()
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
        """Write what waits, bring all to the disk, and set the file aside if it is full. Blocks. Raises OSError."""
        with self._syncing:
            with self._lock:
                if self._fd >= 0:
                    self._flush()
                wanted, self._unsynced = self._unsynced, False
                fd = self._fd
                earlier = self._take_retired()
            self._settle(earlier)
            if wanted and fd >= 0:
                os.fdatasync(fd)
            with self._lock:
                if self._fd >= 0 and self._end >= self._rotate_at:
                    self._rotate()
                retired = self._take_retired()
            # Only what was appended since the file was synced is left to bring to the disk.
            self._settle(retired)
            if earlier or retired:
                self._prune()

    def close(self) -> None:
        """Sync and close; an entry that still cannot be written is lost."""
        with self._syncing, self._lock:
            if self._fd >= 0:
                self._flush()
                files = [*self._take_retired(), self._fd]
                self._fd = -1
                with contextlib.suppress(OSError):
                    self._settle(files)

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
        if self._end >= 2 * self._rotate_at:
            self._rotate()
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

    def _take_retired(self) -> list[int]:
        retired, self._retired = self._retired, []
        return retired

    def _settle(self, retired: list[int]) -> None:
        """Bring files and their names to the disk, oldest first, and close them. Raises OSError."""
        try:
            for descriptor in retired:
                os.fdatasync(descriptor)
            if retired:
                sync_directory(self._path.parent)
        finally:
            for descriptor in retired:
                os.close(descriptor)

    def _rotate(self) -> None:
        """Set the file aside and go on in a fresh one; if that does not work now, it is tried again later.

        It waits for no disk: `sync` settles the file that was set aside before it syncs the fresh one.
        """
        fresh = self._path.with_name(f".{self._path.name}.next")
        try:
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, _FLAGS | os.O_EXCL, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                set_aside(self._path, self._first, fresh)
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            self._rotate_at = self._end + self._max_bytes
            self._write(_note("ledger_not_rotated", f"{error.strerror or error}", {}))
            return
        # Another thread may be syncing it at this moment.
        self._retired.append(self._fd)
        self._fd, self._end, self._first, self._rotate_at = descriptor, 0, self._seq + 1, self._max_bytes

    def _prune(self) -> None:
        """Remove the archives that are not kept, each once the chain vouches for it. Raises OSError."""
        kept = archives(self._path)
        surplus = kept[: max(0, len(kept) - self._keep)]
        for archive in surplus:
            last = last_line(archive)
            details = {"last": _number_of(last), "sha256": hashlib.sha256(last).hexdigest()}
            note = _note("ledger_pruned", f"{archive.name} is not kept any longer", details)
            with self._lock:
                if self._fd < 0 or not self._write(note):
                    return
            archive.unlink()

    def _resume(self) -> None:
        """Find the last whole line; cut off what follows it, and say so."""
        size = os.fstat(self._fd).st_size
        torn_archive = self._resume_archive(cut=size == 0)
        whole = last_newline(self._fd, size) + 1
        torn = os.pread(self._fd, size - whole, whole)
        last = os.pread(self._fd, whole, start := last_newline(self._fd, whole - 1) + 1)[: whole - 1 - start]
        self._end = whole
        damaged = False
        self._first = self._seq + 1
        if whole:
            before = self._seq
            self._hash = hashlib.sha256(last).hexdigest()
            self._first = _number_of(first_line(self._fd)) or self._first
            try:
                self._seq = msgspec.json.decode(last, type=Entry).seq
            except msgspec.DecodeError:
                self._seq, damaged = before + count_lines(self._fd, whole), True
        if torn:
            os.ftruncate(self._fd, whole)
        if torn := torn or torn_archive:
            details = {"size": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
            self.append(_note("ledger_recovered", "the last line was not whole and was cut off", details))
        if damaged:
            self.append(_note("ledger_damaged", "the last line is not a ledger entry; the chain goes on from it", {}))

    def _resume_archive(self, *, cut: bool) -> bytes:
        """Take up the chain where the archives end: a fresh file may still be empty.

        Then the last of them was not synced when the machine stopped, and with `cut` what follows its last whole line
        is cut off and returned.
        """
        kept = archives(self._path)
        torn = cut_torn(kept[-1]) if kept and cut else b""
        if kept:
            last = last_line(kept[-1])
            self._hash = hashlib.sha256(last).hexdigest()
            self._seq = _number_of(last)
        return torn


def _note(action: str, reason: str, arguments: dict[str, Any]) -> Entry:
    return Entry(action=action, decision="done", reason=reason, arguments=arguments, time=rfc3339(time.time_ns()))


def _number_of(line: bytes) -> int:
    """Return a line's number, or 0 if it is no entry."""
    try:
        return msgspec.json.decode(line, type=Entry).seq
    except msgspec.DecodeError:
        return 0


def _is_at(fd: int, path: Path) -> bool:
    """Tell whether a descriptor's file is still the one of that name: it may have been set aside meanwhile."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
