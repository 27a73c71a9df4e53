from __future__ import annotations

from raqib.agent.losses import Culprit, Losses, Notice

ONE, OTHER = Culprit("one", 1000), Culprit("other", 1001)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def losses(most: int = 8) -> tuple[Losses, list[Notice], Clock]:
    told: list[Notice] = []
    clock = Clock()
    return Losses(told.append, quiet_s=60, most=most, clock=clock), told, clock


def short(told: list[Notice]) -> list[tuple[str, str, object, int]]:
    return [(report.kind, report.state, report.culprit and report.culprit.key, report.count) for report in told]


def test_is_told_when_it_begins_and_when_it_has_been_quiet() -> None:
    counter, told, clock = losses()
    counter.counted("records", 3, ONE)
    assert [("records", "begins", "one", 3)] == short(told)
    for _ in range(10):
        clock.now += 59
        counter.counted("records", 2, ONE)
        counter.look()
    assert 1 == len(told)
    clock.now += 60
    counter.look()
    assert ("records", "ended", "one", 23) == short(told)[1]
    assert 590 == told[1].duration_s
    counter.look()
    assert 2 == len(told)


def test_begins_again() -> None:
    counter, told, clock = losses()
    for _ in range(2):
        counter.counted("records", 1, ONE)
        clock.now += 60
        counter.look()
    assert ["begins", "ended"] * 2 == [report.state for report in told]
    assert [1, 1, 1, 1] == [report.count for report in told]


def test_nothing_lost_is_no_loss() -> None:
    counter, told, _ = losses()
    counter.counted("records", 0, ONE)
    counter.ends("records", ONE)
    counter.look()
    counter.close()
    assert [] == told


def test_each_kind_and_each_culprit_is_told_apart() -> None:
    counter, told, _ = losses()
    counter.counted("records", 1, ONE)
    counter.counted("records", 2, OTHER)
    counter.counted("names", 4, ONE)
    counter.close()
    assert {("records", "ended", "one", 1), ("records", "ended", "other", 2), ("names", "ended", "one", 4)} == set(
        short(told)[3:]
    )


def test_who_knows_the_moments_says_them() -> None:
    counter, told, _ = losses()
    counter.begins("printer")
    counter.begins("printer")
    counter.counted("printer", 7)
    counter.ends("printer")
    counter.ends("printer")
    assert [("printer", "begins", None, 0), ("printer", "ended", None, 7)] == short(told)


def test_many_culprits_become_one() -> None:
    counter, told, _ = losses(most=2)
    for number in range(100):
        counter.counted("records", 1, Culprit(number))
    counter.close()
    assert [0, 1, None] == [report.culprit and report.culprit.key for report in told if report.state == "begins"]
    assert 100 == sum(report.count for report in told if report.state == "ended")
