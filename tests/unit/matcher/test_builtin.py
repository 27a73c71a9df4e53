"""The recipes that the package brings: clean, complete, quiet where they must be, and passing their own tests."""

from __future__ import annotations

import pytest

from raqib.matcher.trial import run_test
from raqib.model.actions import FileAction
from raqib.recipes.compile import compile_set
from raqib.recipes.load import load_builtin
from raqib.recipes.spec import RecipeSpec, RecipeTest

BUILTIN = load_builtin()
CASES = [(spec, test) for spec in BUILTIN.recipes for test in spec.tests]


def test_nothing_is_wrong() -> None:
    assert [str(one) for one in BUILTIN.diagnostics] == []


@pytest.mark.parametrize(("spec", "test"), CASES, ids=[f"{spec.name}: {test.name}" for spec, test in CASES])
def test_own_tests(spec: RecipeSpec, test: RecipeTest) -> None:
    result = run_test(spec, test)
    assert "passed" == result.outcome, result.message


@pytest.mark.parametrize("spec", BUILTIN.recipes, ids=lambda spec: spec.name)
def test_every_recipe_is_complete(spec: RecipeSpec) -> None:
    info = spec.info
    assert (info.mode, info.reactions, info.builtin) == ("alert", (), True)
    assert {True, False} == {test.match for test in spec.tests}
    assert all(test.because for test in spec.tests if not test.match)
    assert info.tactic_id
    assert info.technique_id
    assert len(info.description) > 80
    assert info.version


def test_few_names_reach_user_space() -> None:
    assert compile_set(BUILTIN.recipes).residual == FileAction.EXECVE | FileAction.UNLINK


def test_examples_are_disabled() -> None:
    disabled = {spec.name for spec in BUILTIN.recipes if not spec.enabled}
    assert {"file_example", "exec_example", "peer_example"} == disabled
