from __future__ import annotations

import sys
import time

import pytest

from raqib.errors import NotPermittedError
from raqib.model.recipe import Reaction
from raqib.reactions import ReactionProblem, check_reaction, check_reactions


def test_good_reaction() -> None:
    assert check_reaction(Reaction("js", "const known = ['a']; function process(data) { Info(known) }")) is None


def test_many_at_once() -> None:
    codes = ["function process() {}", "let x = ;", "function process() {}", "\n  nothing()", "KillCurrent()"]
    results = check_reactions([Reaction("js", code) for code in codes])
    assert results == [
        None,
        ReactionProblem("SyntaxError: Unexpected token ';'", 1, 9),
        None,
        ReactionProblem("ReferenceError: nothing is not defined", 2, 3),
        ReactionProblem("TypeError: expected a function process(data) at the top level"),
    ]
    assert str(results[1]) == "line 1, column 9: SyntaxError: Unexpected token ';'"


def test_a_top_level_that_goes_too_far_spares_the_others() -> None:
    codes = ["for (;;) ;", "const a = []; for (;;) a.push([1, 2])", "function process() {}"]
    began = time.monotonic()
    endless, bomb, good = check_reactions([Reaction("js", code) for code in codes])
    assert endless is not None
    assert "does not end within 2 s" in endless.message
    assert bomb is not None
    assert "more memory" in bomb.message
    assert good is None
    assert time.monotonic() - began < 30


def test_where_no_process_can_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/none/python")
    with pytest.raises(NotPermittedError, match="/none/python"):
        check_reactions([Reaction("js", "function process() {}")])


def test_nothing_to_check() -> None:
    assert check_reactions([]) == []


@pytest.mark.parametrize(("code", "good"), [("echo $REACTION_DATA", True), ("if true; then", False)])
def test_shell_syntax_is_checked_and_nothing_run(code: str, good: bool) -> None:
    assert (check_reaction(Reaction("shell", code)) is None) is good
