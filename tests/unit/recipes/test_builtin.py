"""The recipes that the package brings: clean, complete, quiet where they must be, and passing their own tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from raqib.matcher import FlowMatcher, KnownAncestry
from raqib.model.actions import FileAction
from raqib.model.flow import Endpoint, FlowAction, FlowObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.offline.samples import run_test
from raqib.recipes.compile import compile_set
from raqib.recipes.load import load_builtin
from raqib.recipes.spec import RecipeSpec, RecipeTest

BUILTIN = load_builtin()
CASES = [(spec, test) for spec in BUILTIN.recipes for test in spec.tests]


def test_nothing_is_wrong() -> None:
    assert [str(diagnostic) for diagnostic in BUILTIN.diagnostics] == []


@pytest.mark.parametrize(("spec", "test"), CASES, ids=[f"{spec.name}: {test.name}" for spec, test in CASES])
def test_own_tests(spec: RecipeSpec, test: RecipeTest) -> None:
    result = run_test(spec, test)
    assert result.passed, result.message


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


def test_popular_names_are_nothing() -> None:
    """Trackers apart, of which a list of popular names has many."""
    lines = (Path(__file__).parents[1] / "matcher/popular_names.txt").read_text().splitlines()
    names = [name for line in lines if not line.startswith("#") for name in line.split()]
    matcher = FlowMatcher(compile_set(BUILTIN.recipes))
    connected = FlowAction.CREATED | FlowAction.EGRESS | FlowAction.OUTGOING | FlowAction.STARTED
    found = set()
    for number, name in enumerate(names):
        process = Process(ProcessKey(number + 1, 1), image=Image(f"/usr/bin/program{number}".encode()))
        remote = Endpoint("203.0.113.7", 443, (name, f"edge.{name}"))
        flow = FlowObservation(process, "tcp", 4, Endpoint("192.0.2.1", 4), remote, connected, connected, 1)
        found |= {(match.recipe.name, name) for match in matcher.match(flow, KnownAncestry())}
    assert {"tracking_domain_access"} == {recipe for recipe, _ in found}
    assert "doubleclick.net" in {name for _, name in found}
