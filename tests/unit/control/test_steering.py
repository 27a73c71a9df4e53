from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from raqib.actions.settings import Places
from raqib.config.config import Config
from raqib.control import steering
from raqib.control.operator import Operator
from raqib.control.socket import CommandResult, ask
from raqib.control.statistics import Statistics
from raqib.control.steering import Parts, Steering, resident_bytes, tell_head
from raqib.ledger.chain import Head
from raqib.reactions import Reactions, ReactionSettings
from raqib.reactions.resources import open_services

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/event.schema.json").read_text())


class Running:
    """What steering asks of the reactions, with a ledger and a store, and without workers."""

    def __init__(self, data_dir: Path, stack: contextlib.ExitStack) -> None:
        self.services = open_services(ReactionSettings(), Places(data_dir), stack, lambda: ())
        self.running, self.waiting, self.ready_workers = 1, 2, 3
        self.worker_pids = (os.getpid(),)
        self.sandbox_missing = ("landlock",)

    @property
    def ledger_head(self) -> Head:
        return self.services.ledger.head


Scenario = Callable[[Steering, Running], Awaitable[Any]]


def steered(directory: Path, scenario: Scenario) -> Any:
    async def run() -> Any:
        with contextlib.ExitStack() as stack:
            running = Running(directory, stack)
            parts = Parts(lambda: 7, lambda: {"records": 5}, lambda: {"stdout": {"written": 4}})
            steering = Steering(Config(data_dir=directory), cast(Reactions, running), Statistics(), parts)
            async with steering.serving():
                return await scenario(steering, running)

    return asyncio.run(run())


def test_status_tells_of_every_stage(tmp_path: Path) -> None:
    async def scenario(steering: Steering, running: Running) -> Any:
        return await asyncio.to_thread(ask, tmp_path, "status")

    status = steered(tmp_path, scenario)
    assert (os.getpid(), True, False, 7) == tuple(status[name] for name in ("pid", "armed", "dry_run", "recipes"))
    assert ({"records": 5}, {"stdout": {"written": 4}}) == (status["sensors"], status["printers"])
    assert (1, 2) == (status["reactions"]["running"], status["reactions"]["waiting"])
    workers = {"pids": [os.getpid()], "ready": 3, "busy": 1, "sandbox_missing": ["landlock"]}
    assert workers == status["workers"]
    assert status["memory"]["agent_bytes"] > 1 << 20
    assert {"seq": 0, "hash": "0" * 64, "failure": ""} == status["ledger"]


def test_switching_off_and_on_is_in_ledger_and_log(tmp_path: Path) -> None:
    async def scenario(steering: Steering, running: Running) -> list[Any]:
        answers = [await asyncio.to_thread(ask, tmp_path, command) for command in ("disarm", "disarm", "arm")]
        assert steering.armed
        return answers

    with capture_logs() as said:
        answers = steered(tmp_path, scenario)
    assert [True, False, True] == [answer["result"] for answer in answers]
    switched = [line["event"] for line in said if "switched" in line["event"]]
    assert ["all actions were switched off"] * 2 + ["all actions were switched on"] == switched
    entries = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert ["disarm", "disarm", "arm"] == [entry["action"] for entry in entries]


def test_switching_off_does_not_wait_for_an_undo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, let_go = threading.Event(), threading.Event()

    def undo(operator: Operator, seq: int) -> CommandResult:
        begun.set()
        assert let_go.wait(10)
        return CommandResult(True)

    async def scenario(steering: Steering, running: Running) -> list[Any]:
        undoing = asyncio.create_task(asyncio.to_thread(ask, tmp_path, "undo", {"seq": 1}))
        try:
            assert await asyncio.to_thread(begun.wait, 10)
            async with asyncio.timeout(5):
                await asyncio.to_thread(ask, tmp_path, "disarm")
            assert not steering.armed
            seen: list[Any] = [undoing.done()]
        finally:
            let_go.set()
        return [*seen, (await undoing)["done"]]

    monkeypatch.setattr(Operator, "undo", undo)
    assert [False, True] == steered(tmp_path, scenario)


def test_what_is_disarmed_when_it_starts_is_told(tmp_path: Path) -> None:
    (tmp_path / "disarmed").touch()

    async def scenario(steering: Steering, running: Running) -> bool:
        return steering.armed

    with capture_logs() as said:
        assert not steered(tmp_path, scenario)
    assert any("raqib arm" in line["event"] for line in said)


def test_the_store_is_changed_through_the_agent(tmp_path: Path) -> None:
    async def scenario(steering: Steering, running: Running) -> str | None:
        arguments = {"recipe": "r", "key": "k", "value": "v", "ttl_s": None}
        assert (await asyncio.to_thread(ask, tmp_path, "store_set", arguments))["done"]
        value = running.services.store.get("r", "k")
        assert (await asyncio.to_thread(ask, tmp_path, "store_delete", {"recipe": "r", "key": "k"}))["done"]
        assert not (await asyncio.to_thread(ask, tmp_path, "undo", {"seq": 99}))["done"]
        return value

    assert steered(tmp_path, scenario) == "v"


def test_the_head_is_told_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal: list[str] = []
    told = asyncio.Event()

    def send(message: str, **fields: str | int) -> bool:
        journal.append(message)
        if len(journal) >= 3:
            told.set()
        return True

    monkeypatch.setattr(steering, "send", send)
    monkeypatch.setattr(steering, "HEAD_INTERVAL_S", 0.001)

    async def scenario(steering: Steering, running: Running) -> None:
        async with asyncio.timeout(60):
            await asyncio.to_thread(ask, tmp_path, "disarm")
            await told.wait()

    with capture_logs() as said:
        steered(tmp_path, scenario)
    seqs = [int(line.removeprefix("ledger head ").partition(":")[0]) for line in journal]
    assert 0 < seqs[0] <= seqs[-1]
    assert len(journal) == sum(line["event"] == "ledger head" for line in said)


@pytest.mark.parametrize("log_for_people", [True, False])
def test_people_are_told_the_last_head_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_for_people: bool
) -> None:
    """The journal is told each; an empty ledger has no head."""
    journal: list[str] = []

    def send(message: str, **fields: object) -> bool:
        journal.append(message)
        return True

    monkeypatch.setattr(steering, "send", send)
    monkeypatch.setattr(steering, "is_for_people", lambda: log_for_people)

    async def scenario(steering: Steering, running: Running) -> None:
        tell_head(running.ledger_head)
        tell_head(running.ledger_head, last=False)
        await asyncio.to_thread(ask, tmp_path, "disarm")
        tell_head(running.ledger_head, last=False)
        tell_head(running.ledger_head)

    with capture_logs() as said:
        steered(tmp_path, scenario)
    heads = [line for line in said if line["event"].startswith("ledger head")]
    assert 2 == len(journal) == len(set(journal)) + 1
    assert [journal[0]] == [line["event"] for line in heads] if log_for_people else 2 == len(heads)


def test_a_process_that_is_gone_takes_no_memory() -> None:
    assert 0 == resident_bytes(2**22 + 1)
