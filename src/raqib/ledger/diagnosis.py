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
    if not confirmed and all(_holds(one, other) for one, other in pairwise(before)):
        return _unconfirmed(before[-1], last)
    lines, copies = _without_copies(window)
    chain = _walk_back(lines)
    found = [_broken(one, "inserted", f"number {one.seq} stands here a second time") for one in copies]
    found += _strangers(lines, chain)
    found += _out_of_order(lines, chain)
    if not found and all(one.readable for one in window):
        found = [
            _broken(other, "changed", f"number {other.seq} does not continue the line before")
            for one, other in pairwise(window)
            if not _holds(one, other)
        ]
    return sorted(found, key=lambda one: one.line)


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
    missing = {one.seq: one for one in found if one.what == "removed"}
    for one in [one for one in found if one.what == "inserted"]:
        if one.seq not in missing:
            continue
        found.remove(missing.pop(one.seq))
        problem = f"number {one.seq} does not stand where it was written"
        found[found.index(one)] = msgspec.structs.replace(one, what="moved", problem=problem)
    return found


def _holds(one: Line, following: Line) -> bool:
    return following.prev == one.digest and following.seq == one.seq + 1


def _without_copies(window: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """Keep of lines that are the same the one that stands behind its predecessor, or the first."""
    best: dict[str, Line] = {}
    for before, one in zip((None, *window), window, strict=False):
        fits = before is not None and before.digest == one.prev
        kept = best.get(one.digest)
        if kept is None or (fits and kept is not window[0] and not _fits(window, kept)):
            best[one.digest] = one
    keep = set(map(id, best.values()))
    return [one for one in window if id(one) in keep], [one for one in window if id(one) not in keep]


def _fits(window: Sequence[Line], line: Line) -> bool:
    index = next(at for at, one in enumerate(window) if one is line)
    return index > 0 and window[index - 1].digest == line.prev


def _walk_back(lines: Sequence[Line]) -> list[Line]:
    """Return the lines that the last one vouches for, itself included, oldest first."""
    by_digest = {one.digest: one for one in lines}
    chain = [lines[-1]]
    while (before := by_digest.pop(chain[-1].prev, None)) is not None and before is not lines[-1]:
        chain.append(before)
    return chain[::-1]


def _strangers(lines: Sequence[Line], chain: Sequence[Line]) -> list[Break]:
    """Say what the lines are that the chain does not lead to, and which numbers are missing."""
    in_chain = set(map(id, chain))
    first, oldest = lines[0], chain[0]
    others = [one for one in lines if id(one) not in in_chain and one is not first]
    changed: list[Line] = []
    missing: list[int] = []
    successor: Line | None = oldest
    if id(first) not in in_chain:
        by_seq: dict[int, Line] = {}
        for one in others:
            by_seq.setdefault(one.seq, one)
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
    found = [_broken(one, "changed", f"number {one.seq} was changed") for one in changed if one.readable]
    found += [
        _broken(one, "inserted", f"number {one.seq} was inserted: the chain does not lead here")
        for one in others
        if one.readable
    ]
    for low, high in _ranges(sorted(missing)):
        place = next((one for one in lines if one.seq > high), lines[-1])
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
    found = [one for one in lines if id(one) in in_chain]
    return [
        _broken(one, "moved", f"number {one.seq} does not stand where it was written")
        for one, expected in zip(found, chain, strict=True)
        if one is not expected
    ]


def _broken(line: Line, what: What, problem: str) -> Break:
    return Break(line.number, problem, line.file, line.seq, what)
