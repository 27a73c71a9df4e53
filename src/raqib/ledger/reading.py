"""Reads a ledger that may be written at the same time: filters it, and follows it across its files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

import msgspec

from raqib.ledger.archives import files_of, first_of
from raqib.ledger.chain import Entry
from raqib.model.uuids import is_named_by

_DECODER = msgspec.json.Decoder(Entry)


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
