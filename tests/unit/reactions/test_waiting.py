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
    size: int = 1


def test_important_ones_first_then_in_order() -> None:
    line: WaitingLine[Job] = WaitingLine(10, 1000)
    jobs = [Job(0, "a", "low"), Job(1, "b", "critical"), Job(2, "c", "low"), Job(3, "d", "critical")]
    assert [line.push(job) for job in jobs] == [[]] * 4
    assert [job.number for job in line] == [1, 3, 0, 2]
    assert [job.number for job in iter(line.pop, None)] == [1, 3, 0, 2]
    assert len(line) == 0


def test_who_is_put_back_is_the_next_of_its_importance() -> None:
    line: WaitingLine[Job] = WaitingLine(2, 1000)
    low, other, high = Job(0, "a", "low"), Job(1, "a", "low"), Job(2, "b", "high")
    line.push(low)
    assert low == line.pop()
    line.push(other)
    line.push(high)
    line.put_back(low)
    assert [high, low, other] == [*iter(line.pop, None)]


def test_least_important_gives_way() -> None:
    line: WaitingLine[Job] = WaitingLine(2, 1000)
    low, high = Job(0, "a", "low"), Job(1, "b", "high")
    line.push(low)
    line.push(high)
    assert line.push(Job(2, "c", "high")) == [low]
    late = Job(3, "d", "none")
    assert [late] == line.push(late)


def test_among_equals_the_latest_of_the_recipe_that_waits_most() -> None:
    line: WaitingLine[Job] = WaitingLine(4, 1000)
    for job in (Job(0, "noisy"), Job(1, "noisy"), Job(2, "quiet"), Job(3, "noisy")):
        line.push(job)
    assert line.push(Job(4, "quiet")) == [Job(3, "noisy")]


def test_bytes_are_bounded_like_numbers() -> None:
    line: WaitingLine[Job] = WaitingLine(100, 100)
    kept = Job(0, "a", "high", 60)
    assert [] == line.push(kept)
    assert [] == line.push(first := Job(1, "b", "low", 20))
    assert [] == line.push(second := Job(2, "b", "low", 20))
    assert [second, first] == line.push(Job(3, "c", "high", 40))
    assert 60 == line.pop().size  # type: ignore[union-attr]
    assert [] == line.push(Job(4, "c", "high", 60))


def test_what_waits_alone_may_be_of_any_size() -> None:
    line: WaitingLine[Job] = WaitingLine(100, 100)
    assert [] == line.push(Job(0, "a", "low", 1000))
    assert [Job(0, "a", "low", 1000)] == line.push(Job(1, "b", "high", 1))


JOBS = st.builds(Job, st.integers(), st.sampled_from("abc"), st.sampled_from(IMPORTANCES), st.integers(0, 100))


@given(st.lists(JOBS))
def test_nothing_is_lost_and_nothing_more_important_is_dropped(jobs: list[Job]) -> None:
    line: WaitingLine[Job] = WaitingLine(5, 60)
    dropped = []
    for job in jobs:
        for victim in line.push(job):
            dropped.append(victim)
            assert all(IMPORTANCES.index(victim.importance) <= IMPORTANCES.index(kept.importance) for kept in line)
        assert len(line) <= 5
        assert sum(kept.size for kept in line) <= 60 or len(line) == 1
    assert sorted(jobs) == sorted([*dropped, *iter(line.pop, None)])
