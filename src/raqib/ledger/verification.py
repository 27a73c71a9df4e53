"""Follows a ledger's chain through all its files and says where it is broken."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from raqib.ledger.archives import files_of
from raqib.ledger.chain import NO_HASH, Entry, Head
from raqib.ledger.diagnosis import Break, Line, diagnose, join_moves

_CALM = 3
"""So many lines in a row that hold end a broken place."""

_MOST = 10_000
"""The most lines that are looked at together."""


class Verification(msgspec.Struct, frozen=True):
    """The result of following a whole ledger."""

    entries: int
    head: Head
    breaks: tuple[Break, ...]
    files: int = 1

    @property
    def intact(self) -> bool:
        """True if no line was changed, removed, inserted or moved, as far as the files alone can tell."""
        return not self.breaks


def verify(path: Path, against: Head | None = None) -> Verification:
    """Follow the chain of a ledger, archives first; `against` is a head noted earlier, which shows a cut end.

    Raises OSError if a file cannot be read.
    """
    files = files_of(path) or [path]
    walk = _Walk(against)
    for file in files:
        walk.follow(file)
    return walk.conclude(len(files))


class _Walk:
    """The way along the chain."""

    def __init__(self, against: Head | None) -> None:
        self._against = against
        self._noted = ""
        self._breaks: list[Break] = []
        self._recent: deque[Line] = deque(maxlen=3)
        self._window: list[Line] = []
        self._calm = 0
        self._entries = 0
        self._origin: Line | None = None
        self._vouched: set[tuple[Any, Any]] = set()

    def follow(self, file: Path) -> None:
        """Follow one file."""
        for number, raw in _lines(file):
            self._entries += 1
            line = self._read(file.name, number, raw)
            if not self._recent:
                self._recent.append(self._start(line))
            self._follow(line)
            if self._against is not None and line.seq == self._against.seq:
                self._noted = line.digest

    def conclude(self, files: int) -> Verification:
        """Return what was found."""
        if self._window:
            self._breaks += diagnose(self._window, confirmed=self._calm > 0)
        origin = self._origin
        if origin is not None and (origin.seq - 1, origin.prev) not in self._vouched:
            problem = f"the ledger begins with number {origin.seq}; what was before is missing"
            self._breaks.append(Break(origin.number, problem, origin.file, origin.seq - 1, "removed"))
        last = self._recent[-1] if self._recent else Line("", 0, 0, "", NO_HASH)
        wanted = self._against
        if wanted is not None and wanted.seq and self._noted != wanted.hash:
            found = "another line of that number" if self._noted else f"no such line, the last is number {last.seq}"
            problem = f"expected line number {wanted.seq} with hash {wanted.hash}, found {found}"
            self._breaks.append(Break(last.number, problem, last.file, wanted.seq, "cut"))
        breaks = tuple(join_moves(self._breaks))
        return Verification(self._entries, Head(last.seq, last.digest), breaks, files)

    def _read(self, file: str, number: int, raw: bytes) -> Line:
        content = raw.removesuffix(b"\n")
        digest = hashlib.sha256(content).hexdigest()
        try:
            entry = _DECODER.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            before = self._recent[-1] if self._recent else Line(file, 0, 0, "", NO_HASH)
            self._breaks.append(Break(number, f"not a ledger entry: {error}", file, before.seq + 1, "changed"))
            return Line(file, number, before.seq + 1, before.digest, digest, readable=False)
        if content == raw:
            self._breaks.append(Break(number, "the line is not whole: it has no end", file, entry.seq, "changed"))
        if entry.action == "ledger_pruned":
            self._vouched.add((entry.arguments.get("last"), entry.arguments.get("sha256")))
        return Line(file, number, entry.seq, entry.prev, digest)

    def _start(self, line: Line) -> Line:
        """Return what stands before the first line."""
        if line.seq <= 1 or line.prev == NO_HASH:
            return Line(line.file, 0, 0, "", NO_HASH)
        self._origin = line
        return Line(line.file, 0, line.seq - 1, "", line.prev)

    def _follow(self, line: Line) -> None:
        before = self._recent[-1]
        holds = line.prev == before.digest and line.seq == before.seq + 1
        if not holds:
            self._window = self._window or list(self._recent)
            self._calm = 0
        if self._window:
            self._window.append(line)
            self._calm += holds
            if self._calm == _CALM or len(self._window) >= _MOST:
                self._breaks += diagnose(self._window, confirmed=self._calm > 0)
                self._window = []
        self._recent.append(line)


_DECODER = msgspec.json.Decoder(Entry)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    with file.open("rb") as opened:
        yield from enumerate(opened, 1)
