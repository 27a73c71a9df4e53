from __future__ import annotations

from raqib.testing import make_detection, make_recipe
from tests.unit.actions.conftest import Acting


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


def test_lists(act: Acting) -> None:
    assert [act("DataPush", value).value for value in ("a", "")] == [0, 0]
    assert act("DataPush", "l", "b").value == 0
    assert act.entries[-1]["arguments"]["key"] == "l"
    assert act.entries[-1]["arguments"]["value"]["size"] == 1
    assert act("DataKeys").value == '["default","l"]'
    assert act("DataValues").value == '[["a",""],["b"]]'
    assert [act("DataPop").value for _ in range(3)] == ["", "a", ""]
    assert act("DataPop").reason == "the list is empty"
    assert act("DataPop", "l").value == "b"
    assert act.entries[-1]["result"]["size"] == 1
    assert act("DataIsEmpty").value is True


def test_push_takes_one_or_two_texts(act: Acting) -> None:
    assert "key: expected a string that is not empty" in act("DataPush", "", "v").reason
    assert "expected 1 to 2 arguments, got 0" in act("DataPush").reason
    assert "expected 1 to 2 arguments, got 3" in act("DataPush", "a", "b", "c").reason
    assert "value: expected a string, got nothing" in act("DataPush", None).reason
    act("DataSet", "k", "v")
    assert "expected a list" in act("DataPush", "k", "v").reason


def test_clear_and_has(act: Acting) -> None:
    act("DataSet", "k", "v")
    act("DataPush", "l", "w")
    assert [act("DataHasValue", value).value for value in ("v", "w", "x")] == [True, True, False]
    assert [act("DataHasKey", key).value for key in ("k", "l", "m")] == [True, True, False]
    assert act("DataClear").value == 0
    assert [act("DataSize").value, act("DataValues").value] == [0, "[]"]


def test_shared_data_is_apart_from_the_recipes_own(act: Acting) -> None:
    assert act("SharedSet", "k", "v").value == 0
    assert act("DataGet", "k").value == ""
    act.detection = make_detection("", recipe=make_recipe(name="another"))
    assert act("SharedGet", "k").value == "v"
    assert act("SharedIncr", "n", 2).value == 2
    assert [True, False] == [act("SharedHasKey", key).value for key in ("k", "other")]
    assert act("SharedDelete", "k").value == 0
    assert act("SharedHasKey", "k").value is False
    assert act("SharedGet", "k").reason == "no such key"
