from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from raqib.model.recipe import IMPORTANCES, Importance
from raqib.reactions.waiting import WaitingLine


class Job(NamedTuple):
    number: int
    recipe: str
    importance: Importance = "medium"


def test_important_ones_first_then_in_order() -> None:
    line: WaitingLine[Job] = WaitingLine(10)
    jobs = [Job(0, "a", "low"), Job(1, "b", "critical"), Job(2, "c", "low"), Job(3, "d", "critical")]
    assert [line.put(job) for job in jobs] == [None] * 4
    assert [job.number for job in line] == [1, 3, 0, 2]
    assert [job.number for job in iter(line.take, None)] == [1, 3, 0, 2]
    assert len(line) == 0


def test_least_important_gives_way() -> None:
    line: WaitingLine[Job] = WaitingLine(2)
    low, high = Job(0, "a", "low"), Job(1, "b", "high")
    line.put(low)
    line.put(high)
    assert line.put(Job(2, "c", "high")) == low
    assert line.put(late := Job(3, "d", "none")) == late


def test_among_equals_the_latest_of_the_recipe_that_waits_most() -> None:
    line: WaitingLine[Job] = WaitingLine(4)
    for job in (Job(0, "noisy"), Job(1, "noisy"), Job(2, "quiet"), Job(3, "noisy")):
        line.put(job)
    assert line.put(Job(4, "quiet")) == Job(3, "noisy")


@given(st.lists(st.builds(Job, st.integers(), st.sampled_from("abc"), st.sampled_from(IMPORTANCES))))
def test_nothing_is_lost_and_nothing_more_important_is_dropped(jobs: list[Job]) -> None:
    line: WaitingLine[Job] = WaitingLine(5)
    dropped = []
    for job in jobs:
        if (victim := line.put(job)) is not None:
            dropped.append(victim)
            assert all(IMPORTANCES.index(victim.importance) <= IMPORTANCES.index(kept.importance) for kept in line)
        assert len(line) <= 5
    assert sorted(jobs) == sorted([*dropped, *iter(line.take, None)])
