from __future__ import annotations

import sys

import pytest

from raqib.errors import NotPermittedError
from raqib.model.recipe import Reaction
from raqib.reactions import ReactionProblem, check, check_reaction, check_reactions


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


GOOD = "function process() {}"


def test_a_top_level_that_does_not_end_spares_the_others() -> None:
    endless, good = check_reactions([Reaction("js", code) for code in ("for (;;) ;", GOOD)])
    assert endless is not None
    assert "does not end within 2 s" in endless.message
    assert good is None


def test_a_top_level_that_takes_too_much_memory_spares_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory ends it, not the time that a busy machine takes to fill it."""
    monkeypatch.setattr(check, "TOP_LEVEL_TIMEOUT_S", 300.0)
    bomb, good = check_reactions([Reaction("js", code) for code in ("const a = []; for (;;) a.push([1, 2])", GOOD)])
    assert bomb is not None
    assert "more memory" in bomb.message
    assert good is None


def test_where_no_process_can_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/none/python")
    with pytest.raises(NotPermittedError, match="/none/python"):
        check_reactions([Reaction("js", "function process() {}")])


def test_nothing_to_check() -> None:
    assert check_reactions([]) == []


@pytest.mark.parametrize(("code", "good"), [("echo $REACTION_DATA", True), ("if true; then", False)])
def test_shell_syntax_is_checked_and_nothing_run(code: str, good: bool) -> None:
    assert (check_reaction(Reaction("shell", code)) is None) is good
