"""Every built-in recipe that is not about the network has a deed."""

from __future__ import annotations

from raqib.recipes.load import load_builtin
from tests.e2e.library import test_environment, test_execution, test_file_access


def test_every_recipe_is_proven() -> None:
    proven = [deed.recipe for deed in (*test_file_access.DEEDS, *test_execution.DEEDS, test_environment.DYNAMIC_LINKER)]
    expected = sorted(recipe.name for recipe in load_builtin().recipes if recipe.file is not None)
    assert expected == sorted(proven)
