"""Counts outlive the agent."""

from __future__ import annotations

from pathlib import Path

from raqib.exceptions.counts import SAVE_EVERY_S, Counts, read_counts
from tests.unit.exceptions.conftest import rules

DAY_S = 86400.0


def test_they_are_taken_up_again(tmp_path: Path) -> None:
    now = [1000.0]
    found = rules("- {recipe: a, reason: r}")
    counts = Counts(tmp_path, lambda: now[0])
    counts.take_up(found)
    counts.add(found[0].id, "u", "/bin/x", "/etc/y", 2)
    counts.save_now_and_then()
    assert {} == read_counts(tmp_path)
    now[0] += SAVE_EVERY_S
    counts.save_now_and_then()
    again = Counts(tmp_path, lambda: now[0])
    again.take_up(found)
    one = again[found[0].id]
    assert (1000.0, 1, 2, 1000.0, "u") == (one.since_s, one.count, one.withheld, one.last_s, one.last_uuid)


def test_that_one_is_still_in_force_is_written_down_and_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    now = [1000.0]
    found = rules("- {recipe: a, reason: r}\n- {recipe: b, reason: r}")
    counts = Counts(tmp_path, lambda: now[0])
    counts.take_up(found)
    counts.take_up(found[:1])
    for _ in range(91):
        now[0] += DAY_S
        counts.save_now_and_then()
    assert 1000.0 + 91 * DAY_S == read_counts(tmp_path)[found[0].id].seen_s
    counts.take_up(found[:1])
    assert {found[0].id} == counts.by_id.keys()


def test_a_file_that_is_no_counts_is_none(tmp_path: Path) -> None:
    (tmp_path / "exceptions.json").write_text("no")
    assert {} == Counts(tmp_path).by_id
