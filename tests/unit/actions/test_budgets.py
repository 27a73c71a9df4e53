from __future__ import annotations

from raqib.actions.budgets import Budgets


def test_a_budget_is_a_sliding_minute_of_one_recipe() -> None:
    now = 0.0
    budgets = Budgets(clock=lambda: now)
    assert [budgets.spend("kills", "r", 2) for _ in range(3)] == [True, True, False]
    assert budgets.spend("kills", "other", 2)
    assert budgets.spend("blocks", "r", 2)
    now = 59.9
    assert not budgets.spend("kills", "r", 2)
    now = 60.0
    assert budgets.spend("kills", "r", 2)


def test_a_budget_of_nothing() -> None:
    assert not Budgets().spend("kills", "r", 0)


def test_a_budget_of_bytes_is_a_sum() -> None:
    now = 0.0
    budgets = Budgets(clock=lambda: now)
    assert [True, True] == [budgets.spend("written_bytes", "r", 1000, 600) for _ in range(2)]
    assert [False, False] == [budgets.spend("written_bytes", "r", 1000, amount) for amount in (1, 0)]
    now = 60.0
    assert budgets.spend("written_bytes", "r", 1000, 0)
    # What turned out to be more than was known before counts as well.
    budgets.charge("written_bytes", "r", 2000)
    assert not budgets.spend("written_bytes", "r", 1000, 0)


def test_many_small_amounts_take_little_memory() -> None:
    now = 0.0
    budgets = Budgets(clock=lambda: now)
    for count in range(10_000):
        now = count / 1000
        assert budgets.spend("written_bytes", "r", 1 << 30, 4096)
    assert len(budgets._taken["written_bytes", "r"]) <= 101


def test_the_breaker_says_once_that_it_opened() -> None:
    now = 0.0
    budgets = Budgets(clock=lambda: now)
    assert not budgets.just_opened("kills", "r")
    assert budgets.spend("kills", "r", 1)
    assert not budgets.just_opened("kills", "r")
    assert [False, False] == [budgets.spend("kills", "r", 1) for _ in range(2)]
    assert [True, False] == [budgets.just_opened("kills", "r") for _ in range(2)]
    assert not budgets.spend("kills", "r", 1)
    assert not budgets.just_opened("kills", "r")
    now = 61.0
    assert [True, False] == [budgets.spend("kills", "r", 1) for _ in range(2)]
    assert budgets.just_opened("kills", "r")
