"""Reads a ledger that may be written at the same time: filters it, and follows it across its files."""

from __future__ import annotations

import os
import uuid as uuids
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

import msgspec

from raqib.ledger.archives import files_of, first_of
from raqib.ledger.chain import Entry
from raqib.model.uuids import is_named_by

_DECODER = msgspec.json.Decoder(Entry)

MOST_SEARCHED = 256
"""Files that are searched for an event, the newest first: more are kept only by who sets that."""
_CLOCK_STEPS = timedelta(hours=1)
"""So much the calendar may have been set back between an event and what was done."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted; None takes all."""

    recipe: str | None = None
    """A shell pattern."""
    action: str | None = None
    """A shell pattern."""
    decision: str | None = None
    uuid: str | None = None
    """The event's."""
    since: str | None = None
    """RFC 3339 in UTC with nanoseconds, as the entries have it."""
    numbers: frozenset[int] | None = None

    def accepts(self, entry: Entry) -> bool:
        """Tell whether an entry is wanted."""
        return (
            (self.recipe is None or fnmatchcase(entry.recipe, self.recipe))
            and (self.action is None or fnmatchcase(entry.action, self.action))
            and self.decision in (None, entry.decision)
            and (self.uuid is None or is_named_by(entry.uuid, self.uuid))
            and (self.since is None or entry.time >= self.since)
            and (self.numbers is None or entry.seq in self.numbers)
        )


class LedgerReader:
    """Goes through the lines of a ledger once; what is written later is found when it is asked again."""

    def __init__(self, path: Path, start: int = 1) -> None:
        """Begin with the file that has the line of number `start`."""
        self._path = path
        self._last = max((first for file in files_of(path) if (first := first_of(file) or 0) <= start), default=1) - 1
        self._file: BinaryIO | None = None
        self._rest = b""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(self) -> Iterator[tuple[bytes, Entry]]:
        """Yield the lines that are new, as they stand there and decoded; those that are no entries are left out.

        Raises OSError if a file cannot be read.
        """
        while True:
            if self._file is None and not self._open_next():
                return
            yield from self._read_file()
            if self._is_current():
                return
            # It was set aside meanwhile: what was written before that is read, then comes its successor.
            yield from self._read_file()
            self.close()

    def _open_next(self) -> bool:
        """Open the oldest file that has not been read; False if there is none."""
        file = self._next()
        while file is not None:
            try:
                self._file, self._rest = file.open("rb"), b""
            except FileNotFoundError:
                # Not kept any longer.
                file = self._next()
                continue
            if file == self._next():
                return True
            # It was set aside between the look and the opening: its archive comes first.
            self.close()
            file = self._next()
        return False

    def _next(self) -> Path | None:
        for file in files_of(self._path):
            first = first_of(file)
            if first is None or first > self._last:
                return file
        return None

    def _read_file(self) -> Iterator[tuple[bytes, Entry]]:
        assert self._file is not None  # noqa: S101
        while chunk := self._file.read(1 << 16):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                try:
                    entry = _DECODER.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    continue
                self._last = max(self._last, entry.seq)
                yield line, entry

    def _is_current(self) -> bool:
        assert self._file is not None  # noqa: S101
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False


def find(path: Path, seq: int) -> Entry | None:
    """Return the entry of a number, or None. Raises OSError if a file cannot be read."""
    reader = LedgerReader(path, seq)
    try:
        return next((entry for _, entry in reader.read() if entry.seq == seq), None)
    finally:
        reader.close()


def about_event(path: Path, uuid: str) -> list[Entry]:
    """Return the entries about an event, oldest first: its UUID, the beginning of it, or its short form.

    The newest files come first, and none that was finished before the event. Raises OSError if one cannot be read.
    """
    found: list[Entry] = []
    for file in _newest_first(path):
        with file:
            began, entries = _about(file, uuid)
        found[:0] = entries
        since = _time_of(found[0].uuid if found else uuid)
        if since and began and began < since:
            break
    return found


def _newest_first(path: Path) -> Iterator[BinaryIO]:
    """Open the files of a ledger one by one; one that is set aside meanwhile comes once."""
    try:
        current = path.open("rb")
    except FileNotFoundError:
        return
    status = os.fstat(current.fileno())
    yield current
    for file in files_of(path)[: -MOST_SEARCHED - 1 : -1]:
        try:
            opened = file.open("rb")
        except FileNotFoundError:
            continue  # not kept any longer
        if file == path or os.path.samestat(status, os.fstat(opened.fileno())):
            opened.close()
            continue
        yield opened


def _about(file: BinaryIO, uuid: str) -> tuple[str, list[Entry]]:
    """Return the time of a file's first entry, and the entries about an event."""
    began, wanted, found = "", uuid.encode(), []
    for line in file:
        if began and wanted not in line:
            continue
        try:
            entry = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        began = began or entry.time
        if is_named_by(entry.uuid, uuid):
            found.append(entry)
    return began, found


def _time_of(uuid: str) -> str:
    """Return when an event was made, as the entries have it; empty if that is not a whole UUID of version 7."""
    try:
        created = uuids.UUID(uuid)
        when = datetime.fromtimestamp((created.int >> 80) / 1000, UTC) - _CLOCK_STEPS
    except (ValueError, OverflowError):
        return ""
    return f"{when:%Y-%m-%dT%H:%M:%S}" if created.version == 7 else ""
