from __future__ import annotations

from raqib.agent.losses import Losses
from raqib.model.loss import Culprit, LossReport

ONE, OTHER = Culprit("one", 1000), Culprit("other", 1001)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def losses(most: int = 8) -> tuple[Losses, list[LossReport], Clock]:
    told: list[LossReport] = []
    clock = Clock()
    return Losses(told.append, quiet_s=60, most=most, clock=clock), told, clock


def short(told: list[LossReport]) -> list[tuple[str, str, object, int]]:
    return [(report.kind, report.state, report.culprit and report.culprit.key, report.count) for report in told]


def test_is_told_when_it_begins_and_when_it_has_been_quiet() -> None:
    counter, told, clock = losses()
    counter.count("records", 3, ONE)
    assert [("records", "begins", "one", 3)] == short(told)
    for _ in range(10):
        clock.now += 59
        counter.count("records", 2, ONE)
        counter.end_quiet()
    assert 1 == len(told)
    clock.now += 60
    counter.end_quiet()
    assert ("records", "ended", "one", 23) == short(told)[1]
    assert 590 == told[1].duration_s
    counter.end_quiet()
    assert 2 == len(told)


def test_begins_again() -> None:
    counter, told, clock = losses()
    for _ in range(2):
        counter.count("records", 1, ONE)
        clock.now += 60
        counter.end_quiet()
    assert ["begins", "ended"] * 2 == [report.state for report in told]
    assert [1, 1, 1, 1] == [report.count for report in told]


def test_nothing_lost_is_no_loss() -> None:
    counter, told, _ = losses()
    counter.count("records", 0, ONE)
    counter.end("records", ONE)
    counter.end_quiet()
    counter.close()
    assert [] == told


def test_each_kind_and_each_culprit_is_told_apart() -> None:
    counter, told, _ = losses()
    counter.count("records", 1, ONE)
    counter.count("records", 2, OTHER)
    counter.count("names", 4, ONE)
    counter.close()
    assert {("records", "ended", "one", 1), ("records", "ended", "other", 2), ("names", "ended", "one", 4)} == set(
        short(told)[3:]
    )


def test_who_knows_the_moments_says_them() -> None:
    counter, told, _ = losses()
    counter.begin("printer")
    counter.begin("printer")
    counter.count("printer", 7)
    counter.end("printer")
    counter.end("printer")
    assert [("printer", "begins", None, 0), ("printer", "ended", None, 7)] == short(told)


def test_many_culprits_become_one() -> None:
    counter, told, _ = losses(most=2)
    for number in range(100):
        counter.count("records", 1, Culprit(number))
    counter.close()
    assert [0, 1, None] == [report.culprit and report.culprit.key for report in told if report.state == "begins"]
    assert 100 == sum(report.count for report in told if report.state == "ended")
