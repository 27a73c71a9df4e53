"""Follows a ledger's chain and says where it is broken."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from raqib.actions.ledger import NO_HASH, Entry, Head


class Break(msgspec.Struct, frozen=True):
    """A place where the chain does not hold."""

    line: int
    """Counted from 1."""
    problem: str


class Verification(msgspec.Struct, frozen=True):
    """The result of following a whole ledger."""

    entries: int
    head: Head
    breaks: tuple[Break, ...]

    @property
    def intact(self) -> bool:
        """True if no line was changed, removed, inserted or moved, as far as the file alone can tell."""
        return not self.breaks


def verify(path: Path, against: Head | None = None) -> Verification:
    """Follow the chain of a ledger; `against` is a head noted earlier, which shows that the end was cut off.

    Raises OSError if the file cannot be read.
    """
    breaks: list[Break] = []
    expected_seq, expected_prev, number = 1, NO_HASH, 0
    noted = ""
    decoder = msgspec.json.Decoder(Entry)
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            line = raw.removesuffix(b"\n")
            if line == raw:
                breaks.append(Break(number, "the line is not whole: it has no end"))
            digest = hashlib.sha256(line).hexdigest()
            try:
                entry = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                breaks.append(Break(number, f"not a ledger entry: {error}"))
                expected_seq, expected_prev = expected_seq + 1, digest
                continue
            if entry.prev != expected_prev:
                breaks.append(
                    Break(number, "it does not carry the hash of the line before: one of the two was changed")
                )
            if entry.seq != expected_seq:
                breaks.append(Break(number, f"expected number {expected_seq}, found {entry.seq}"))
            if against is not None and entry.seq == against.seq:
                noted = digest
            expected_seq, expected_prev = entry.seq + 1, digest
    if against is not None and against.seq and noted != against.hash:
        found = "another line of that number" if noted else "no such line"
        breaks.append(Break(number, f"expected line number {against.seq} with hash {against.hash}, found {found}"))
    return Verification(entries=number, head=Head(expected_seq - 1, expected_prev), breaks=tuple(breaks))
