"""What was done to a ledger is told, and to which line."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.ledger.chain import Entry, Ledger
from raqib.ledger.verification import verify

COUNT = 12


@cache
def lines() -> tuple[bytes, ...]:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.jsonl"
        ledger = Ledger(path)
        for number in range(1, COUNT + 1):
            ledger.append(Entry(action=f"action {number}", decision="done"))
        ledger.close()
        return tuple(path.read_bytes().splitlines(keepends=True))


def found(*content: bytes) -> list[tuple[str, int]]:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.jsonl"
        path.write_bytes(b"".join(content))
        return [(found_break.what, found_break.seq) for found_break in verify(path).breaks]


INNER = st.integers(2, COUNT - 2)


@given(INNER)
def test_a_changed_line(number: int) -> None:
    changed = lines()[number - 1].replace(b'"action ', b'"Action ')
    assert [("changed", number)] == found(*lines()[: number - 1], changed, *lines()[number:])


@given(INNER)
def test_a_line_that_was_made_unreadable(number: int) -> None:
    assert [("changed", number)] == found(*lines()[: number - 1], b"{}\n", *lines()[number:])


@given(INNER)
def test_a_line_whose_own_hash_of_the_line_before_was_changed(number: int) -> None:
    changed = lines()[number - 1].replace(b'"prev":"', b'"prev":"0')
    assert [("changed", number)] == found(*lines()[: number - 1], changed, *lines()[number:])


@given(INNER, st.integers(1, 3))
def test_removed_lines(number: int, count: int) -> None:
    last = min(number + count - 1, COUNT - 2)
    assert [("removed", number)] == found(*lines()[: number - 1], *lines()[last:])


@given(INNER)
def test_a_line_that_stands_there_twice(number: int) -> None:
    assert [("inserted", number)] == found(*lines()[:number], *lines()[number - 1 :])


@given(INNER)
def test_a_forged_line(number: int) -> None:
    genuine = lines()[number - 1]
    forged = genuine.replace(b'"action ', b'"forged ')
    assert [("inserted", number)] == found(*lines()[: number - 1], forged, *lines()[number - 1 :])


@given(INNER)
def test_two_neighbours_that_changed_places(number: int) -> None:
    before, one, other, after = lines()[: number - 1], lines()[number - 1], lines()[number], lines()[number + 1 :]
    assert {("moved", number), ("moved", number + 1)} == set(found(*before, other, one, *after))


@pytest.mark.parametrize(("source", "target"), [(2, 9), (9, 2)])
def test_a_line_that_was_moved_far(source: int, target: int) -> None:
    moved = list(lines())
    moved.insert(target - 1, moved.pop(source - 1))
    assert [("moved", source)] == found(*moved)


def test_the_last_line_is_one_word_against_another() -> None:
    assert [("changed", 12)] == found(*lines()[:10], lines()[10].replace(b'"action ', b'"Action '), lines()[11])
    assert [("removed", 11)] == found(*lines()[:10], lines()[11])
    assert [("inserted", 12)] == found(*lines(), lines()[11])


@given(st.permutations(range(COUNT)))
def test_any_other_order_is_found(order: list[int]) -> None:
    breaks = found(*(lines()[index] for index in order))
    assert bool(breaks) == (order != sorted(order))


@given(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=COUNT + 3))
def test_any_selection_but_a_beginning_is_found(selection: list[int]) -> None:
    breaks = found(*(lines()[index] for index in selection))
    assert bool(breaks) == (selection != list(range(len(selection))))
