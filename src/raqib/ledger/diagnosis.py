"""Finds out what happened where a ledger's chain does not hold.

A line vouches for the one before it by that one's hash. So from a line that its own successors vouch for one can walk
back: what lies on that way was written by raqib, and what does not was changed, inserted, or stands where it does not
belong; numbers that are on no line are those of lines that were removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import msgspec

What = Literal["changed", "removed", "inserted", "moved", "cut"]


class Break(msgspec.Struct, frozen=True):
    """A place where the chain does not hold."""

    line: int
    """Within its file, counted from 1."""
    problem: str
    file: str = ""
    """Its name without the directory."""
    seq: int = 0
    """The number of the entry in question."""
    what: What = "changed"

    def __str__(self) -> str:
        """Return `FILE, line N: PROBLEM`."""
        return f"{self.file}, line {self.line}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Line:
    """What counts of a line."""

    file: str
    number: int
    """Within its file, counted from 1; 0 stands for what was before the first line."""
    seq: int
    prev: str
    digest: str
    readable: bool = True


def diagnose(window: Sequence[Line], *, confirmed: bool) -> list[Break]:
    """Say what is wrong in a row of lines: the first ones hold, and so do the last ones if they are `confirmed`."""
    *before, last = window
    if not confirmed and all(_holds(line, other) for line, other in pairwise(before)):
        return _unconfirmed(before[-1], last)
    lines, copies = _without_copies(window)
    chain = _walk_back(lines)
    found = [_broken(line, "inserted", f"number {line.seq} stands here a second time") for line in copies]
    found += _strangers(lines, chain)
    found += _out_of_order(lines, chain)
    if not found and all(line.readable for line in window):
        found = [
            _broken(other, "changed", f"number {other.seq} does not continue the line before")
            for line, other in pairwise(window)
            if not _holds(line, other)
        ]
    return sorted(found, key=lambda fault: fault.line)


def _unconfirmed(before: Line, last: Line) -> list[Break]:
    """Say what may be wrong with the last line, if nothing before it is: it is one line's word against another's."""
    if not (before.readable and last.readable):
        return []
    if last.seq > before.seq + 1:
        problem = f"before this line, {_removed(before.seq + 1, last.seq - 1)}"
        return [Break(last.number, problem, last.file, before.seq + 1, "removed")]
    if last.digest == before.digest or last.seq != before.seq + 1:
        return [_broken(last, "inserted", f"number {last.seq} stands here again or out of place")]
    return [_broken(last, "changed", f"number {before.seq} or {last.seq} was changed: they do not fit together")]


def join_moves(breaks: Iterable[Break]) -> list[Break]:
    """Make one of a line that is missing in one place and too much in another."""
    found = list(breaks)
    missing = {fault.seq: fault for fault in found if fault.what == "removed"}
    for fault in [fault for fault in found if fault.what == "inserted"]:
        if fault.seq not in missing:
            continue
        found.remove(missing.pop(fault.seq))
        problem = f"number {fault.seq} does not stand where it was written"
        found[found.index(fault)] = msgspec.structs.replace(fault, what="moved", problem=problem)
    return found


def _holds(line: Line, following: Line) -> bool:
    return following.prev == line.digest and following.seq == line.seq + 1


def _without_copies(window: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """Keep of lines that are the same the one that stands behind its predecessor, or the first."""
    best: dict[str, Line] = {}
    for before, line in zip((None, *window), window, strict=False):
        fits = before is not None and before.digest == line.prev
        kept = best.get(line.digest)
        if kept is None or (fits and kept is not window[0] and not _fits(window, kept)):
            best[line.digest] = line
    keep = set(map(id, best.values()))
    return [line for line in window if id(line) in keep], [line for line in window if id(line) not in keep]


def _fits(window: Sequence[Line], line: Line) -> bool:
    index = next(at for at, candidate in enumerate(window) if candidate is line)
    return index > 0 and window[index - 1].digest == line.prev


def _walk_back(lines: Sequence[Line]) -> list[Line]:
    """Return the lines that the last one vouches for, itself included, oldest first."""
    by_digest = {line.digest: line for line in lines}
    chain = [lines[-1]]
    while (before := by_digest.pop(chain[-1].prev, None)) is not None and before is not lines[-1]:
        chain.append(before)
    return chain[::-1]


def _strangers(lines: Sequence[Line], chain: Sequence[Line]) -> list[Break]:
    """Say what the lines are that the chain does not lead to, and which numbers are missing."""
    in_chain = set(map(id, chain))
    first, oldest = lines[0], chain[0]
    others = [line for line in lines if id(line) not in in_chain and line is not first]
    changed: list[Line] = []
    missing: list[int] = []
    successor: Line | None = oldest
    if id(first) not in in_chain:
        by_seq: dict[int, Line] = {}
        for line in others:
            by_seq.setdefault(line.seq, line)
        for seq in range(oldest.seq - 1, first.seq, -1):
            candidate = by_seq.get(seq)
            if candidate is None:
                missing.append(seq)
            else:
                others.remove(candidate)
                if successor is not None and successor.prev != candidate.digest:
                    changed.append(candidate)
                    candidate = None
            successor = candidate
        if successor is not None and successor.prev != first.digest and first.seq == successor.seq - 1:
            changed.append(first)
        if others and len(others) == len(missing):
            # As many too much as too few: their numbers were changed, too.
            changed += others
            others, missing = [], []
    found = [_broken(line, "changed", f"number {line.seq} was changed") for line in changed if line.readable]
    found += [
        _broken(line, "inserted", f"number {line.seq} was inserted: the chain does not lead here")
        for line in others
        if line.readable
    ]
    for low, high in _ranges(sorted(missing)):
        place = next((line for line in lines if line.seq > high), lines[-1])
        found.append(Break(place.number, f"before this line, {_removed(low, high)}", place.file, low, "removed"))
    return found


def _removed(low: int, high: int) -> str:
    return f"number {low} was removed" if low == high else f"numbers {low} to {high} were removed"


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _out_of_order(lines: Sequence[Line], chain: Sequence[Line]) -> list[Break]:
    in_chain = set(map(id, chain))
    found = [line for line in lines if id(line) in in_chain]
    return [
        _broken(line, "moved", f"number {line.seq} does not stand where it was written")
        for line, expected in zip(found, chain, strict=True)
        if line is not expected
    ]


def _broken(line: Line, what: What, problem: str) -> Break:
    return Break(line.number, problem, line.file, line.seq, what)
