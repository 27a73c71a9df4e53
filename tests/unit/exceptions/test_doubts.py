"""Exceptions that are well-formed and still doubtful."""

from __future__ import annotations

import pytest

from raqib.exceptions.counts import Count
from raqib.exceptions.doubts import IDLE_S, doubts
from raqib.model.recipe import RecipeInfo
from tests.unit.exceptions.conftest import RECIPE, rules


def said(when: str, recipe: str = "exec_from_tmp", more: str = "") -> list[str]:
    found = rules(f"- {{recipe: '{recipe}', reason: r, when: [{when}]{more}}}")
    return [doubt.message for doubt in doubts(found, [RECIPE])]


@pytest.mark.parametrize(
    "when", ["{what: unit, pattern: ^ci}", "{what: exe, pattern: ^/usr/bin/x$}", "{what: uid, number: 0}"]
)
def test_nothing_to_say(when: str) -> None:
    assert [] == said(when)


@pytest.mark.parametrize(
    "when",
    [
        "",
        "{what: path, pattern: ^/}",
        "{what: unit, pattern: .}",
        "{what: exe, pattern: '.*'}, {what: cmd, pattern: 'x|'}",
    ],
)
def test_it_covers_everything(when: str) -> None:
    [message] = said(when)
    assert "it covers everything of its recipes" in message


@pytest.mark.parametrize("what", ["comm", "cmdline", "args", "cwd", "envs", "label", "image", "parent_comm"])
def test_it_rests_on_what_a_program_claims(what: str) -> None:
    [message] = said(f"{{what: {what}, pattern: ^/opt/x$}}")
    assert f"found only {what}: whoever knows of this exception can hide behind it" in message


def test_it_means_no_recipe() -> None:
    [message] = said("{what: unit, pattern: ^ci}", "exec_from_tmpp")
    assert "did you mean exec_from_tmp?" in message


def test_it_would_cover_what_protects_raqib() -> None:
    own = RecipeInfo(kind="agent_tampering", name="stopped", mechanism="x", importance="high", builtin=True)
    [one] = doubts(rules("- {recipe: stopped, reason: r, when: [{what: unit, pattern: ^ci}]}"), [own])
    assert "no exception covers built-in recipes of kind agent_tampering" in one.message


def test_it_has_ended() -> None:
    [message] = said("{what: unit, pattern: ^ci}", more=", until: 2020-01-01")
    assert "it ended on 2020-01-01" in message


def test_it_covered_nothing_for_thirty_days() -> None:
    found = rules("- {recipe: a, reason: r, when: [{what: unit, pattern: ^ci}]}")
    key = found[0].id

    def about(count: Count) -> int:
        return len(list(doubts(found, counts={key: count}, now_s=10 * IDLE_S)))

    assert 1 == about(Count(since_s=1, seen_s=2 + IDLE_S))
    assert 1 == about(Count(since_s=1, seen_s=100 + IDLE_S, last_s=50))
    assert 0 == about(Count(since_s=1, seen_s=IDLE_S))
    assert 0 == about(Count(since_s=1, seen_s=100 + IDLE_S, last_s=200))
