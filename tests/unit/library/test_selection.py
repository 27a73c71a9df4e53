from __future__ import annotations

import pytest

from raqib.library.selection import Selector, selector, switch
from raqib.recipes.load import load_text
from raqib.recipes.spec import RecipeSpec

TEXT = """
- {kind: shells, name: a, mechanism: execution, breed: execution, importance: low, tactic: execution}
- {kind: shells, name: b, mechanism: execution, breed: execution, importance: high, tactic: persistence, enabled: false}
- {kind: "x:y", name: "c:d", mechanism: execution, breed: execution, importance: high, tactic: TA0003}
"""


def recipes() -> list[RecipeSpec]:
    loaded = load_text(TEXT, "test.yaml")
    assert not loaded.errors
    return list(loaded.recipes)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("a*", Selector("name", "a*")),
        ("kind:foo*", Selector("kind", "foo*")),
        ("tactic:execution", Selector("tactic", "execution")),
        ("importance:low", Selector("importance", "low")),
        ("name:c:d", Selector("name", "c:d")),
        ("c:d", Selector("name", "c:d")),
    ],
)
def test_entries_are_read(entry: str, expected: Selector) -> None:
    assert expected == selector(entry)


@pytest.mark.parametrize(
    ("enable", "disable", "expected"),
    [
        ((), (), "a c:d"),
        (("*",), (), "a b c:d"),
        (("kind:shell*",), (), "a b c:d"),
        ((), ("kind:shells",), "c:d"),
        ((), ("tactic:TA0003",), "a"),
        (("tactic:persistence",), ("importance:low",), "b c:d"),
        (("b",), ("importance:high",), "a"),
        ((), ("c:d",), "a"),
        ((), ("kind:x:y",), "a"),
    ],
)
def test_what_runs(enable: tuple[str, ...], disable: tuple[str, ...], expected: str) -> None:
    switched, problems = switch(recipes(), enable, disable)
    assert not problems
    assert expected.split() == [recipe.name for recipe in switched if recipe.enabled]


@pytest.mark.parametrize(
    ("entry", "hint"),
    [("knd:shells", "did you mean kind"), ("importance:hgh", "did you mean high"), ("nothing", "found 'nothing'")],
)
def test_an_entry_that_means_no_recipe_is_told(entry: str, hint: str) -> None:
    _, (problem,) = switch(recipes(), (), (entry,))
    assert "error" == problem.severity
    assert hint in str(problem)
