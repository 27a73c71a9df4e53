"""What somebody at the command line does; all of it is in the ledger."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from raqib.control.operator import Operator, operating_on, undoable
from raqib.errors import RaqibError
from tests.unit.actions.conftest import Acting


@pytest.fixture
def operator(act: Acting) -> Operator:
    return Operator(act.context.services)


def test_what_was_added_is_taken_off_once(act: Acting, operator: Operator) -> None:
    act("DataIncr", "n", 5)
    act("SharedIncr", "n")
    act("DataIncr", "n", 2)
    assert [1, 2, 3] == undoable(act.ledger_path)
    assert (True, 2) == ((answer := operator.undo(1)).done, answer.result)
    assert operator.undo(2).done
    assert [3] == undoable(act.ledger_path)
    refused = operator.undo(1)
    assert (False, "number 1 was undone already, by number 4") == (refused.done, refused.reason)
    assert ("2", "0") == (act.store.get("test_recipe", "n"), act.store.get("*", "n"))
    assert [("undo", "done"), ("undo", "done"), ("undo", "refused")] == [
        (entry["action"], entry["decision"]) for entry in act.entries[3:]
    ]


def test_what_was_made_is_removed_with_all_that_is_in_it(act: Acting, operator: Operator) -> None:
    path = Path(act("CreateTempDir").value)
    act("WriteFile", f"{path}/file", "x")
    assert [1] == undoable(act.ledger_path)
    assert operator.undo(1).done
    assert not path.exists()
    assert [] == undoable(act.ledger_path)
    # It is struck out of the list of those that may be removed.
    path.mkdir()
    assert "refused" == act("RemoveDir", str(path)).decision


def test_another_directory_of_that_name_is_left_alone(act: Acting, operator: Operator) -> None:
    path = Path(act("CreateTempDir").value)
    path.rename(path.with_name("moved"))
    path.mkdir()
    (path / "precious").touch()
    answer = operator.undo(1)
    assert (False, True) == (answer.done, "expected a directory that CreateTempDir" in answer.reason)
    assert (path / "precious").exists()
    assert [1] == undoable(act.ledger_path)
    shutil.rmtree(path)


def test_what_was_not_done_is_not_undone(act: Acting, operator: Operator) -> None:
    act.dry_run = True
    act("DataIncr", "n")
    act.dry_run = False
    act("WriteFile", f"{act.writable}/file", "x")
    assert [] == undoable(act.ledger_path)
    assert "number 1 was not done, it is 'would'" == operator.undo(1).reason
    assert "WriteFile cannot be undone; what can: NetBlockIp (takes the blocks off)" in operator.undo(2).reason
    assert "the ledger has no line number 99" == operator.undo(99).reason


def test_what_is_not_there_any_more_is_an_error(act: Acting, operator: Operator) -> None:
    act("DataIncr", "n")
    act("DataDelete", "n")
    assert "there is no key 'n' any more" == operator.undo(1).reason
    act("DataPush", "n", "x")
    assert "expected a text, it holds a list" in operator.undo(1).reason
    assert [1] == undoable(act.ledger_path)


def test_values_that_are_set_are_in_the_ledger_by_their_hash(act: Acting, operator: Operator) -> None:
    assert operator.store_set("r", "k", "secret").done
    assert operator.store_delete("r", "k").done
    assert "no such key" == operator.store_delete("r", "k").reason
    assert not operator.store_set("r", "k" * 10_000, "x").done
    assert ["done", "done", "done", "error"] == [entry["decision"] for entry in act.entries]
    assert b"secret" not in act.ledger_path.read_bytes()


def test_without_an_agent_the_directory_itself_is_used(act: Acting) -> None:
    act("CreateTempDir")
    data_dir = act.places.data_dir
    act.ledger.close()
    with operating_on(data_dir) as operator:
        assert operator.disarm().done
        assert operator.undo(1).done
    assert [] == [path for path in act.writable.iterdir() if path.is_dir()]
    assert (data_dir / "disarmed").exists()
    with pytest.raises(RaqibError, match="expected a data directory, found none"), operating_on(data_dir / "nothing"):
        pass


def test_a_switch_that_cannot_be_kept_is_off_all_the_same(act: Acting, operator: Operator) -> None:
    shutil.rmtree(act.places.data_dir / "evidence")
    (act.places.data_dir / "disarmed").mkdir()
    answer = operator.arm()
    assert (False, True) == (answer.done, answer.reason.startswith("actions stay off"))
    assert ("arm", "error") == (act.entries[0]["action"], act.entries[0]["decision"])
