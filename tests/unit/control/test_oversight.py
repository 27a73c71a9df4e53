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
from jsonschema import Draft202012Validator
from structlog.testing import capture_logs

from raqib.actions.budgets import BreakerOpened
from raqib.actions.settings import Places
from raqib.config.config import Config
from raqib.control import oversight
from raqib.control.operator import Operator
from raqib.control.oversight import Oversight, Parts, resident_bytes
from raqib.control.socket import CommandResult, ask
from raqib.ledger.chain import Head
from raqib.model.event import Event, encode
from raqib.reactions import Reactions, ReactionSettings
from raqib.reactions.resources import open_services

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/event.schema.json").read_text())


class Running:
    """What oversight asks of the reactions, with a ledger and a store, and without workers."""

    def __init__(self, data_dir: Path, stack: contextlib.ExitStack) -> None:
        self.services = open_services(ReactionSettings(), Places(data_dir), stack, lambda: ())
        self.running, self.waiting, self.ready_workers = 1, 2, 3
        self.worker_pids = (os.getpid(),)
        self.sandbox_missing = ("landlock",)

    @property
    def ledger_head(self) -> Head:
        return self.services.ledger.head


Watching = Callable[[Oversight, Running], Awaitable[Any]]


@pytest.fixture
def published() -> list[Event]:
    return []


def watched(directory: Path, published: list[Event], scenario: Watching) -> Any:
    async def run() -> Any:
        with contextlib.ExitStack() as stack:
            running = Running(directory, stack)
            watching = Oversight(Config(data_dir=directory), published.append)
            assert watching.armed
            assert {"armed": True} == watching.status()
            parts = Parts(lambda: 7, lambda: {"records": 5}, lambda: {"stdout": {"written": 4}})
            async with watching.watching(cast(Reactions, running), parts):
                return await scenario(watching, running)

    return asyncio.run(run())


def test_status_tells_of_every_stage(tmp_path: Path, published: list[Event]) -> None:
    async def scenario(watching: Oversight, running: Running) -> Any:
        return await asyncio.to_thread(ask, tmp_path, "status")

    status = watched(tmp_path, published, scenario)
    assert (os.getpid(), True, False, 7) == tuple(status[name] for name in ("pid", "armed", "dry_run", "recipes"))
    assert ({"records": 5}, {"stdout": {"written": 4}}) == (status["sensors"], status["printers"])
    assert (1, 2) == (status["reactions"]["running"], status["reactions"]["waiting"])
    workers = {"pids": [os.getpid()], "ready": 3, "busy": 1, "sandbox_missing": ["landlock"]}
    assert workers == status["workers"]
    assert status["memory"]["agent_bytes"] > 1 << 20
    assert {"seq": 0, "hash": "0" * 64, "failure": ""} == status["ledger"]


def test_switching_off_and_on_is_in_ledger_and_log(tmp_path: Path, published: list[Event]) -> None:
    async def scenario(watching: Oversight, running: Running) -> list[Any]:
        answers = [await asyncio.to_thread(ask, tmp_path, command) for command in ("disarm", "disarm", "arm")]
        assert watching.armed
        return answers

    with capture_logs() as said:
        answers = watched(tmp_path, published, scenario)
    assert [True, False, True] == [answer["result"] for answer in answers]
    switched = [line["event"] for line in said if "switched" in line["event"]]
    assert ["all actions were switched off"] * 2 + ["all actions were switched on"] == switched
    entries = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert ["disarm", "disarm", "arm"] == [entry["action"] for entry in entries]


def test_switching_off_does_not_wait_for_an_undo(
    tmp_path: Path, published: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, let_go = threading.Event(), threading.Event()

    def undo(operator: Operator, seq: int) -> CommandResult:
        begun.set()
        assert let_go.wait(10)
        return CommandResult(True)

    async def scenario(watching: Oversight, running: Running) -> list[Any]:
        undoing = asyncio.create_task(asyncio.to_thread(ask, tmp_path, "undo", {"seq": 1}))
        try:
            assert await asyncio.to_thread(begun.wait, 10)
            async with asyncio.timeout(5):
                await asyncio.to_thread(ask, tmp_path, "disarm")
            assert not watching.armed
            seen: list[Any] = [undoing.done()]
        finally:
            let_go.set()
        return [*seen, (await undoing)["done"]]

    monkeypatch.setattr(Operator, "undo", undo)
    assert [False, True] == watched(tmp_path, published, scenario)


def test_what_is_disarmed_when_it_starts_is_told(tmp_path: Path, published: list[Event]) -> None:
    (tmp_path / "disarmed").touch()

    async def scenario(watching: Oversight, running: Running) -> bool:
        return watching.armed

    with capture_logs() as said:
        assert not watched(tmp_path, published, scenario)
    assert any("raqib arm" in line["event"] for line in said)


def test_the_store_is_changed_through_the_agent(tmp_path: Path, published: list[Event]) -> None:
    async def scenario(watching: Oversight, running: Running) -> str | None:
        arguments = {"recipe": "r", "key": "k", "value": "v", "ttl_s": None}
        assert (await asyncio.to_thread(ask, tmp_path, "store_set", arguments))["done"]
        value = running.services.store.get("r", "k")
        assert (await asyncio.to_thread(ask, tmp_path, "store_delete", {"recipe": "r", "key": "k"}))["done"]
        assert not (await asyncio.to_thread(ask, tmp_path, "undo", {"seq": 99}))["done"]
        return value

    assert watched(tmp_path, published, scenario) == "v"


def test_the_head_is_told_again_and_again(
    tmp_path: Path, published: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal: list[str] = []
    told = asyncio.Event()

    def send(message: str, **fields: str | int) -> bool:
        journal.append(message)
        if len(journal) >= 3:
            told.set()
        return True

    monkeypatch.setattr(oversight, "send", send)
    monkeypatch.setattr(oversight, "HEAD_INTERVAL_S", 0.001)

    async def scenario(watching: Oversight, running: Running) -> None:
        async with asyncio.timeout(60):
            await asyncio.to_thread(ask, tmp_path, "disarm")
            await told.wait()

    with capture_logs() as said:
        watched(tmp_path, published, scenario)
    seqs = [int(line.removeprefix("ledger head ").partition(":")[0]) for line in journal]
    assert 0 < seqs[0] <= seqs[-1]
    assert len(journal) == sum(line["event"] == "ledger head" for line in said)


@pytest.mark.parametrize("log_for_people", [True, False])
def test_people_are_told_the_last_head_only(
    tmp_path: Path, published: list[Event], monkeypatch: pytest.MonkeyPatch, log_for_people: bool
) -> None:
    """The journal is told each; an empty ledger has no head."""
    journal: list[str] = []

    def send(message: str, **fields: object) -> bool:
        journal.append(message)
        return True

    monkeypatch.setattr(oversight, "send", send)
    monkeypatch.setattr(oversight, "is_for_people", lambda: log_for_people)

    async def scenario(watching: Oversight, running: Running) -> None:
        watching.tell_head()
        watching.tell_head(last=False)
        await asyncio.to_thread(ask, tmp_path, "disarm")
        watching.tell_head(last=False)
        watching.tell_head()

    with capture_logs() as said:
        watched(tmp_path, published, scenario)
    heads = [line for line in said if line["event"].startswith("ledger head")]
    assert 2 == len(journal) == len(set(journal)) + 1
    assert [journal[0]] == [line["event"] for line in heads] if log_for_people else 2 == len(heads)


def test_a_breaker_is_an_event_of_its_own(tmp_path: Path, published: list[Event]) -> None:
    async def scenario(watching: Oversight, running: Running) -> Any:
        watching.breaker_opened(BreakerOpened("kind", "recipe", "high", "kills", 30, "the-event"))
        return watching.status()["breakers_opened"]

    assert 1 == watched(tmp_path, published, scenario)
    (event,) = published
    plain = json.loads(encode(event))
    Draft202012Validator(SCHEMA).validate(plain)
    assert ("agent", "recipe", "high") == (
        plain["event_type"],
        plain["metadata"]["name"],
        plain["metadata"]["importance"],
    )
    assert "the budget of 30 kills a minute is used up" in plain["note"]
    assert ("kills", 30, "the-event") == tuple(plain["fields"]["breaker"][name] for name in ("budget", "limit", "uuid"))


def test_a_process_that_is_gone_takes_no_memory() -> None:
    assert 0 == resident_bytes(2**22 + 1)
