from __future__ import annotations

from .conftest import Acting


def test_data_helpers(act: Acting) -> None:
    assert act("DataGet", "k").value == ""
    assert act("DataGet", "k").reason == "no such key"
    assert act("DataSet", "k", "v").value == 0
    assert (act("DataGet", "k").value, act("DataGet", "k").reason) == ("v", "")
    assert act("DataIncr", "n").value == 1
    assert act("DataIncr", "n", 1.5).value == 2.5
    assert act("DataKeys").value == '["k","n"]'
    assert act("DataSize").value == 2
    assert act("DataHasKey", "k").value is True
    assert act("DataDelete", "k").value == 0
    assert act("DataDelete", "k").value == 0
    assert act("DataHasKey", "k").value is False


def test_errors_are_answered(act: Acting) -> None:
    act("DataSet", "k", "text")
    record = act("DataIncr", "k")
    assert (record.decision, record.value) == ("error", None)
    assert "expected a number" in record.reason
    assert "above 0" in act("DataSet", "k", "v", -1).reason
    assert act("DataSet", "k", 5).decision == "error"


def test_changes_are_ledgered_without_their_contents_and_queries_are_not(act: Acting) -> None:
    act("DataSet", "k", "secret")
    act("DataGet", "k")
    (entry,) = act.entries
    assert entry["action"] == "DataSet"
    assert entry["arguments"]["key"] == "k"
    assert "secret" not in str(entry)


def test_dry_run_answers_as_if_it_had_been_done(act: Acting) -> None:
    act.dry_run = True
    assert act("DataSet", "k", "v").decision == "would"
    assert act("DataGet", "k").value == "v"
    assert [act("DataIncr", "n").value for _ in range(2)] == [1, 2]
    act.dry_run = False
    assert act("DataGet", "k").value == ""
