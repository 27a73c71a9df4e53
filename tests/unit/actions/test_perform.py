from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess

import msgspec
import pytest

from raqib.actions.context import MAX_RECIPE_VOLUME, MAX_UNDONE_IN_FULL, MAX_VOLUME, Volume
from raqib.actions.declare import Helper, Plan
from raqib.actions.helpers.table import HELPERS
from raqib.actions.perform import MAX_REASON
from raqib.ledger.verification import verify
from raqib.model.execution import ActionRecord
from raqib.model.recipe import Limits
from raqib.testing import live_process, make_detection, make_recipe

from .conftest import Acting, Change


def test_what_is_not_there_yet_says_so(act: Acting) -> None:
    record = act("NetBlockIp", "192.0.2.1")
    assert (record.decision, record.value, record.reason) == ("refused", None, "network policy is not enabled")
    assert act.entries[-1]["action"] == "NetBlockIp"


def test_nothing_but_kills_without_a_ledger(act: Acting) -> None:
    working, act.ledger._fd = act.ledger._fd, os.open("/dev/full", os.O_WRONLY)
    act("Stat", "/")
    record = act("DataSet", "k", "v")
    assert record.decision == "refused"
    assert "the ledger cannot be written" in record.reason
    assert act("DataGet", "k").decision == "refused"
    assert act("KillCurrent").reason == "the event has no process"
    os.close(act.ledger._fd)
    act.ledger._fd = working
    assert act("DataSet", "k", "v").decision == "done"
    assert list(range(1, 6)) == [entry["seq"] for entry in act.entries]


@pytest.mark.parametrize("place", ["loop", "files"])
def test_a_broken_action_is_an_error_of_its_own(act: Acting, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    released: list[bool] = []

    def burst() -> None:
        raise ZeroDivisionError("oops")

    broken = Helper(
        "Broken",
        check=lambda context, arguments: Plan(burst, would=0, release=lambda: released.append(True)),  # type: ignore[arg-type]
        place=place,  # type: ignore[arg-type]
    )
    monkeypatch.setattr("tests.unit.actions.conftest.HELPERS", {**HELPERS, "Broken": broken})
    record = act("Broken")
    assert record.decision == "error"
    assert record.reason == "internal error: ZeroDivisionError: oops"
    assert released == [True]


def test_only_the_loop_may_wait(act: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    async def later() -> None:
        await asyncio.sleep(0)

    waiting: list[object] = []

    def start() -> object:
        waiting.append(work := later())
        return work

    helper = Helper("Waiting", check=lambda c, a: Plan(start, would=0), place="files")  # type: ignore[arg-type]
    monkeypatch.setattr("tests.unit.actions.conftest.HELPERS", {"Waiting": helper})
    assert "only actions of the event loop" in act("Waiting").reason
    waiting[0].close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("importance", "wanted", "limit"),
    [("high", None, 2), ("critical", None, 3), ("high", 1, 1), ("high", 99, 4), ("critical", 99, 4), ("high", 0, 0)],
)
def test_budgets_and_ceilings(act: Acting, configure: Change, importance: str, wanted: int | None, limit: int) -> None:
    configure(kills_per_minute=2, critical_kills_per_minute=3, max_kills_per_minute=4)
    recipe = make_recipe("", importance=importance, limits=Limits(kills_per_minute=wanted))
    with subprocess.Popen(["sleep", "60"]) as victim:
        act.detection = make_detection(ancestry=[live_process(victim.pid)], recipe=recipe)
        act.dry_run = True
        decisions = [act("KillCurrent").decision for _ in range(limit + 2)]
        victim.kill()
    assert ["would"] * limit + ["refused"] * 2 == decisions
    (opened,) = act.opened
    assert ("test_recipe", importance, "kills", limit) == (
        opened.recipe,
        opened.importance,
        opened.budget,
        opened.limit,
    )
    assert act.detection.event.uuid == opened.uuid


def test_a_long_reason_is_cut(act: Acting) -> None:
    record = act("CreateTempDir", "x" * 4000)
    assert record.decision == "error"
    assert len(record.reason) == MAX_REASON
    assert record.reason.endswith("…")
    assert act.entries[-1]["reason"] == record.reason


def test_of_calls_that_were_not_done_so_many_are_in_full(act: Acting) -> None:
    context = act.context
    for number in range(MAX_UNDONE_IN_FULL + 50):
        begun = act.door.begin(HELPERS["KillProcess"], context, "[0]" if number % 2 else "[1]")
        assert isinstance(begun, ActionRecord)
        assert begun.decision in ("refused", "error")
    assert [bool(entry["arguments"]) for entry in act.entries] == [True] * MAX_UNDONE_IN_FULL + [False] * 50
    assert all(entry["reason"] for entry in act.entries)
    assert asyncio.run(act.door.perform(HELPERS["DataSet"], context, '["k","v"]')).decision == "done"
    assert act.entries[-1]["arguments"]["key"] == "k"
    # The next execution begins anew.
    assert act("KillProcess", 1).decision == "refused"
    assert act.entries[-1]["arguments"]["pid"] == 1
    assert verify(act.ledger_path).intact


def test_calls_that_are_done_leave_out_what_is_too_much_for_the_ledger(act: Acting) -> None:
    """One execution would else push out what the ledger has of all others."""
    act.volume = Volume()
    key = "k" * 1000
    for number in range(1000):
        assert 0 == act("DataDelete", f"{number}{key}").value
    entries = act.entries
    assert 1000 == len(entries)
    assert {"key": f"0{key}"} == entries[0]["arguments"]
    left_out = msgspec.json.encode({"key": f"999{key}"})
    expected = {"size": len(left_out), "sha256": hashlib.sha256(left_out).hexdigest()}
    assert {"left_out": expected} == entries[-1]["arguments"]
    assert act.ledger_path.stat().st_size < 2 * MAX_VOLUME + 1000 * 600
    # Those that say little are there in full, and so is what may matter most.
    assert 0 == act("DataDelete", "short").value
    assert {"key": "short"} == act.entries[-1]["arguments"]


def test_a_recipe_has_so_much_of_the_ledger_a_minute(act: Acting) -> None:
    key = "k" * 1000
    # Each call is of an execution of its own.
    for _ in range(MAX_RECIPE_VOLUME // 1000 + 1):
        act("DataDelete", key)
    assert ["left_out"] == list(act.entries[-1]["arguments"])
    act.detection = make_detection(recipe=make_recipe("", name="another_recipe"))
    act("DataDelete", key)
    assert {"key": key} == act.entries[-1]["arguments"]
