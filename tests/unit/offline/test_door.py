from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from raqib.actions.context import ActionContext
from raqib.actions.helpers.table import HELPERS
from raqib.actions.settings import Places
from raqib.model.execution import ActionRecord
from raqib.model.process import Process, ProcessKey
from raqib.offline.door import DryCall, DryDoor
from raqib.reactions import ReactionSettings
from raqib.reactions.resources import open_services
from raqib.testing import make_detection

GONE = Process(key=ProcessKey(2**22 + 1, 1))


@pytest.fixture
def calls() -> list[DryCall]:
    return []


def perform(tmp_path: Path, calls: list[DryCall], *wanted: tuple[str, str]) -> list[ActionRecord]:
    async def run() -> list[ActionRecord]:
        with contextlib.ExitStack() as stack:
            services = open_services(ReactionSettings(), Places(tmp_path / "data"), stack, lambda: ())
            # Not even a context that forgot to be dry lets anything happen.
            context = ActionContext(make_detection("x", ancestry=[GONE]), 0, False, services)
            door = DryDoor(calls.append)
            stack.callback(door.close)
            return [await door.perform(HELPERS[name], context, text) for name, text in wanted]

    return asyncio.run(run())


def test_kills_are_imagined_and_remembered(tmp_path: Path, calls: list[DryCall]) -> None:
    records = perform(
        tmp_path, calls, ("KillCurrent", "[]"), ("KillProcess", f"[{os.getpid()}]"), ("KillProcess", '["x"]')
    )
    assert [("would", 0), ("would", 0), ("error", None)] == [(record.decision, record.value) for record in records]
    expected: list[tuple[str, tuple[Any, ...]]] = [
        ("KillCurrent", ()),
        ("KillProcess", (os.getpid(),)),
        ("KillProcess", ()),
    ]
    assert expected == [(call.name, call.arguments) for call in calls]


def test_nothing_is_written(tmp_path: Path, calls: list[DryCall]) -> None:
    target = Path("/tmp") / f"raqib-dry-run-{tmp_path.name}"
    (record,) = perform(tmp_path, calls, ("WriteFile", f'["{target}", "x"]'))
    assert ("would", 0) == (record.decision, record.value)
    assert not target.exists()


def test_the_store_is_one_of_its_own(tmp_path: Path, calls: list[DryCall]) -> None:
    records = perform(tmp_path, calls, ("DataIncr", '["n"]'), ("DataIncr", '["n"]'), ("DataGet", '["n"]'))
    assert [1, 2, "2"] == [call.value for call in records]
    (record,) = perform(tmp_path, calls, ("DataGet", '["n"]'))
    assert "" == record.value
