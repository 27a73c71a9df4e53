from __future__ import annotations

from structlog.testing import capture_logs

from raqib.agent.shadow import Shadows
from raqib.testing import make_recipe


def test_counts_are_told_when_they_change_and_not_too_often() -> None:
    now = [0.0]
    with capture_logs() as said:
        shadows = Shadows(lambda: now[0])
        for _ in range(3):
            shadows.count(make_recipe(name="quiet"))
        shadows.tell_now_and_then()
        assert [] == said
        now[0] = 61.0
        shadows.tell_now_and_then()
        shadows.tell()
    assert [{"quiet": 3}] == [line["matches"] for line in said]


def test_a_recipe_may_have_any_name() -> None:
    with capture_logs() as said:
        shadows = Shadows()
        shadows.count(make_recipe(name="event"))
        shadows.tell()
    assert [{"event": 1}] == [line["matches"] for line in said]
