from __future__ import annotations

from raqib.actions.helpers.notify import MAX_NOTICES
from tests.unit.actions.conftest import Acting, Change


def test_notice_is_handed_on(act: Acting) -> None:
    assert 0 == act("Notify", "títle").value
    assert 0 == act("Notify", "more", {"a": [1, {"b": None}]}).value
    assert [("títle", {}), ("more", {"a": [1, {"b": None}]})] == [
        (notice.title, notice.fields) for notice in act.notices
    ]
    assert act.detection is act.notices[0].detection
    assert ["títle", "more"] == [entry["arguments"]["title"] for entry in act.entries]


def test_limits(act: Acting) -> None:
    assert "expected at most 65536 bytes as JSON" in act("Notify", "t", {"a": "x" * 65536}).reason
    assert "expected an object, got an array" in act("Notify", "t", [1]).reason
    assert "not empty" in act("Notify", "").reason
    assert [0] * MAX_NOTICES == [act("Notify", str(number)).value for number in range(MAX_NOTICES)]
    record = act("Notify", "one more")
    assert ("refused", f"the limit of {MAX_NOTICES} notices of one execution is reached") == (
        record.decision,
        record.reason,
    )
    assert MAX_NOTICES == len(act.notices)


def test_dry_run_tells_nobody(act: Acting) -> None:
    act.dry_run = True
    assert ("would", 0) == (act("Notify", "t").decision, act("Notify", "t").value)
    assert [] == act.notices


def test_a_recipe_sends_so_many_a_minute(act: Acting, configure: Change) -> None:
    """Else notices push out what the event log has of everything else."""
    configure(notices_per_minute=3)
    for _ in range(4):
        act.sent.clear()
        record = act("Notify", "title")
    assert ("refused", True) == (record.decision, "budget of 3 notices a minute" in record.reason)
    assert 3 == len(act.notices)
    assert ["notices"] == [opened.budget for opened in act.opened]
