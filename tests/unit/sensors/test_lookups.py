"""What a file system of a user's own can cost the daemon."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from raqib.sensors.lookups import (
    ALL_AT_ONCE_S,
    AT_ONCE_S,
    EACH_SECOND_S,
    MOST_STUCK,
    MOST_STUCK_OF_ONE,
    Lookups,
    Unanswered,
)

TOOK_S = 0.1


class Clock:
    now = 5.0

    def __call__(self) -> float:
        return self.now


def slow(clock: Clock) -> Callable[[], bytes]:
    def work() -> bytes:
        clock.now += TOOK_S
        return b"/found"

    return work


def answered(lookups: Lookups, user: int, work: Callable[[], bytes], refused: list[int]) -> int:
    """Ask until it is refused; return how many were answered."""
    for count in range(1000):
        try:
            assert b"/found" == lookups.ask(user, work, lambda: refused.append(user))
        except Unanswered:
            return count
    raise AssertionError("expected a limit")


def test_a_file_system_that_is_slow_has_so_much_of_the_time() -> None:
    clock, refused = Clock(), list[int]()
    lookups = Lookups(clock)
    most = round(AT_ONCE_S / TOOK_S)
    assert most <= answered(lookups, 1, slow(clock), refused) <= most + 1
    assert [1] == refused
    clock.now += TOOK_S / EACH_SECOND_S + 1
    assert 1 <= answered(lookups, 1, slow(clock), refused) <= 2
    clock.now += AT_ONCE_S / EACH_SECOND_S
    assert most <= answered(lookups, 1, slow(clock), refused) <= most + 1


def test_one_user_leaves_time_to_others_and_all_together_have_a_limit() -> None:
    clock, refused = Clock(), list[int]()
    lookups = Lookups(clock)
    counts = [answered(lookups, user, slow(clock), refused) for user in range(10)]
    assert counts[0] <= counts[1] + 1
    assert 0 == counts[-1]
    assert ALL_AT_ONCE_S / TOOK_S <= sum(counts) <= 2 * ALL_AT_ONCE_S / TOOK_S


def test_what_is_answered_at_once_costs_nothing() -> None:
    clock = Clock()
    lookups = Lookups(clock)
    for _ in range(2000):
        assert b"/found" == lookups.ask(1, lambda: b"/found", lambda: None)


def test_threads_that_are_left_behind_are_bounded_for_each_user_and_in_all() -> None:
    clock, gate, begun = Clock(), threading.Event(), []
    lookups = Lookups(clock)

    def never() -> bytes:
        begun.append(1)
        gate.wait()
        return b""

    try:
        for user in [*[0] * 5, *range(1, 10)]:
            clock.now += 1000
            with pytest.raises(Unanswered):
                lookups.ask(user, never, lambda: None)
        assert MOST_STUCK == len(begun)
        begun.clear()
    finally:
        gate.set()
    assert MOST_STUCK_OF_ONE < MOST_STUCK


def test_an_error_of_the_file_system_is_handed_on() -> None:
    def refuse() -> bytes:
        raise PermissionError(1, "no")

    with pytest.raises(PermissionError):
        Lookups().ask(1, refuse, lambda: None)
