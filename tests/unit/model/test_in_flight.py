from __future__ import annotations

from raqib.model.in_flight import Cost, Hold, InFlight, Who

ONE, SAME_RECIPE, OTHER = Who("flood", 65534), Who("flood", 0), Who("other", 0)


def fill(budget: InFlight, who: Who, cost: Cost, *, important: bool = False) -> list[Hold]:
    held = []
    while (hold := budget.admit(who, cost, important=important)) is not None:
        held.append(hold)
    return held


def test_one_user_of_one_recipe_gets_a_third_and_others_find_room() -> None:
    budget = InFlight(4000)
    assert 100 == len(fill(budget, ONE, Cost(10)))
    assert fill(budget, SAME_RECIPE, Cost(10))
    assert fill(budget, OTHER, Cost(10))
    assert budget.used <= 3000


def test_a_part_is_kept_for_what_is_important() -> None:
    budget = InFlight(4000)
    for number in range(50):
        fill(budget, Who(f"recipe {number}", number), Cost(1))
    assert budget.used <= 3000
    assert fill(budget, Who("critical"), Cost(10), important=True)
    assert budget.used <= 4000


def test_what_is_shared_counts_once_until_the_last_lets_go() -> None:
    budget = InFlight(4000)
    first = budget.admit(ONE, Cost(10, 500, "background"))
    second = budget.admit(ONE, Cost(10, 500, "background"))
    assert first is not None
    assert second is not None
    assert 520 == budget.used
    first.acquire()
    first.release()
    assert 520 == budget.used
    first.release()
    assert 510 == budget.used
    second.release()
    assert 0 == budget.used


def test_a_recipe_is_calm_when_half_of_its_room_is_free() -> None:
    budget = InFlight(4000)
    held = fill(budget, ONE, Cost(10))
    assert not budget.is_calm(ONE)
    for hold in held[:60]:
        hold.release()
    assert budget.is_calm(ONE)


def test_accounts_that_are_empty_are_not_kept() -> None:
    budget = InFlight(4000)
    for number in range(100):
        hold = budget.admit(Who("recipe", number), Cost(1, 1, number))
        assert hold is not None
        hold.release()
        assert budget.admit(Who("recipe", number), Cost(10_000)) is None
        assert budget.is_calm(Who("recipe", number))
    assert not budget._by_who
    assert not budget._by_recipe
    assert not budget._shared
