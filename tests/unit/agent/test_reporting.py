from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft202012Validator

from raqib.agent.publishing import Publisher
from raqib.agent.reporting import Kept, Reporter
from raqib.control.statistics import Statistics
from raqib.events.build import detect_within
from raqib.events.surroundings import MOST_BYTES, Surroundings
from raqib.model.actions import FileAction
from raqib.model.detection import Detection
from raqib.model.event import Event, encode
from raqib.model.execution import BreakerOpened
from raqib.model.in_flight import Hold
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.model.recipe import Importance, RecipeInfo
from raqib.printers import Printers
from raqib.reactions.service import Held

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/event.schema.json").read_text())
LIMIT = 8 << 20
FILES = [(b"/d/%0200d" % number, FileAction.OPEN) for number in range(100)]


def process(pid: int = 1000, uid: int = 65534, exe: bytes = b"/bin/x") -> Process:
    return Process(key=ProcessKey(pid, 1), uid=uid, comm=b"x", image=Image(exe=exe, args=(b"x",)))


def surroundings(one: Process, described_ns: int = 1000) -> Surroundings:
    return Surroundings(one, [], FILES, described_ns=described_ns)


def detection(
    name: str = "flood", around: Surroundings | None = None, importance: Importance = "low", number: int = 0
) -> Detection:
    around = around or surroundings(process())
    recipe = RecipeInfo(kind="k", name=name, mechanism="file_access", importance=importance)
    seen = FileObservation(
        process=around.ancestry[-1],
        path=b"/d/%d" % number,
        actions=FileAction.OPEN,
        new=FileAction.OPEN,
        timestamp_ns=number,
    )
    return detect_within(recipe, seen, around, "")


class Gate:
    """Keeps what it prints; waits at a gate before."""

    local = True
    compact = False
    reads_events = False

    def __init__(self, name: str, *, is_open: bool = True) -> None:
        self.name = name
        self.printed: list[dict[str, Any]] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        if is_open:
            self.gate.set()

    def print(self, event: Event | None, line: bytes) -> None:
        self.entered.set()
        self.gate.wait()
        self.printed.append(json.loads(line))

    def close(self) -> None:
        self.gate.set()

    def idle(self, printers: Printers) -> None:
        """Wait until nothing waits for it."""
        while printers.counts[self.name].waiting:
            time.sleep(0.0002)

    def of(self, event_type: str) -> list[dict[str, Any]]:
        return [event for event in self.printed if event["event_type"] == event_type]


class NoReactions:
    def hold(self, detection: Detection, share: Hold | None = None) -> Held:
        raise AssertionError("expected no reactions")

    async def drain(self) -> None:
        raise AssertionError("expected no reactions")


class Reporting(NamedTuple):
    reporter: Reporter
    publisher: Publisher

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        return self.reporter._tasks

    def report(self, detection: Detection) -> None:
        self.reporter.report(detection)


def reported(
    *gates: Gate, work: Callable[[Reporting, Printers], Awaitable[None]], max_bytes: int = LIMIT
) -> tuple[Reporting, Statistics]:
    """Do the work with a reporter, then let the printers end."""
    printers, statistics = Printers(gates), Statistics()

    async def run() -> Reporting:
        publisher = Publisher(printers, max_bytes, each=True)
        to_nobody = Reporter(printers, publisher, NoReactions(), statistics, lambda seen, times: None)
        reporter = Reporting(to_nobody, publisher)
        printers.start()
        await work(reporter, printers)
        for gate in gates:
            gate.gate.set()
        while reporter.tasks:
            await asyncio.wait(set(reporter.tasks))
        for gate in gates:
            await asyncio.to_thread(gate.idle, printers)
        publisher.close()
        printers.close(20)
        return reporter

    return asyncio.run(run()), statistics


def test_what_does_not_fit_is_counted_exactly_and_nothing_stays_charged() -> None:
    gate = Gate("stdout", is_open=False)

    async def work(reporter: Reporting, printers: Printers) -> None:
        around = surroundings(process())
        for number in range(1000):
            reporter.report(detection(around=around, number=number))
        reporter.report(detection("critical", surroundings(process(1, 0)), "critical"))
        reporter.report(detection("other", surroundings(process(2, 0))))
        reporter.publisher.tell_counted()
        assert reporter.publisher.budget.used <= LIMIT

    reporter, statistics = reported(gate, work=work)
    flood = [event for event in gate.of("file_access") if event["metadata"]["name"] == "flood"]
    (repeated,) = gate.of("repeated")
    assert 1000 == len(flood) + repeated["count"]
    assert repeated["count"] == statistics.repeated
    assert {"flood", "critical", "other"} == {event["metadata"]["name"] for event in gate.of("file_access")}
    for name in ("critical", "other"):
        (one,) = [event for event in gate.of("file_access") if event["metadata"]["name"] == name]
        assert 100 == len(one["background"]["file_list"])
    assert 0 == reporter.publisher.budget.used
    Draft202012Validator(SCHEMA).validate(repeated)
    assert [65534] == [example["uid"] for example in repeated["fields"]["repeated"]["examples"]]


def test_without_room_for_a_background_an_event_is_valid_and_says_so() -> None:
    gate = Gate("stdout")

    async def work(reporter: Reporting, printers: Printers) -> None:
        reporter.report(detection())

    reported(gate, work=work, max_bytes=60_000)
    (event,) = gate.of("file_access")
    Draft202012Validator(SCHEMA).validate(event)
    assert "the background is left out" in event["note"]
    assert {"ancestry": [], "flows": {}, "files": {"root": {"path": "/", "base": "/", "dirs": [], "files": []}}} == (
        event["background"]
    )


def test_another_user_of_the_same_recipe_is_printed_whole() -> None:
    gate = Gate("stdout", is_open=False)

    async def work(reporter: Reporting, printers: Printers) -> None:
        around = surroundings(process())
        for number in range(1000):
            reporter.report(detection(around=around, number=number))
        reporter.report(detection(around=surroundings(process(7, 33))))

    reported(gate, work=work)
    (event,) = [shown for shown in gate.of("file_access") if shown["process"]["uid"] == 33]
    assert 100 == len(event["background"]["file_list"])


def test_a_printer_that_is_stuck_keeps_nothing_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raqib.printers.worker.STUCK_S", 0.0)
    stuck, good = Gate("stuck", is_open=False), Gate("good")

    async def work(reporter: Reporting, printers: Printers) -> None:
        around = surroundings(process())
        reporter.report(detection(around=around))
        stuck.entered.wait()
        for number in range(600):
            reporter.report(detection(around=around, number=number))
            if reporter.tasks:
                await asyncio.wait(set(reporter.tasks), return_when=asyncio.FIRST_COMPLETED, timeout=0.05)
            await asyncio.to_thread(good.idle, printers)
        assert printers.counts["stuck"].dropped > 0
        reporter.publisher.tell_counted()

    reported(stuck, good, work=work)
    printed = good.of("file_access")
    assert 601 == len(printed) + sum(event["count"] for event in good.of("repeated"))
    # What the stuck one holds is let go each time: hardly anything is only counted.
    assert len(printed) > 550
    losses = [event["fields"]["loss"] for event in good.of("agent")]
    assert ["begins", "ended"] == [loss["state"] for loss in losses]
    assert {"printer_stuck"} == {loss["kind"] for loss in losses}


def test_kept_surroundings_hold_for_what_happened_before_they_were_read() -> None:
    kept, one, made = Kept(), process(), []

    def make(described_ns: int) -> Callable[[], Surroundings]:
        def read() -> Surroundings:
            made.append(described_ns)
            return surroundings(one, described_ns)

        return read

    first = kept.get(one, 5, make(10))
    assert first is kept.get(one, 10, make(20))
    assert first is not kept.get(one, 11, make(30))
    kept.get(process(exe=b"/bin/other"), 12, make(40))
    assert [10, 30, 40] == made


def test_kept_surroundings_are_bounded() -> None:
    kept = Kept(3 * surroundings(process()).size)
    for pid in range(100):
        one = process(pid)
        kept.get(one, 0, lambda one=one: surroundings(one))  # type: ignore[misc]
    assert 3 >= len(kept._kept)
    assert kept._bytes == sum(held.size for held in kept._kept.values())


def test_deep_directories_do_not_multiply_a_background() -> None:
    """Each file in a hundred directories of its own."""
    deep = [(b"/%d" % number + b"/d" * 100 + b"/file", FileAction.OPEN) for number in range(1000)]
    around = Surroundings(process(), [], deep)
    assert around.size < 4 * MOST_BYTES
    event = detection(around=around).event
    assert event.note is not None
    assert "oldest files" in event.note
    assert len(encode(event)) < 3 * MOST_BYTES


def test_surroundings_are_freed_at_once() -> None:
    """Not when the garbage collector comes by: they are large, and there are many."""
    around = surroundings(process())
    detection(around=around)
    gone = weakref.ref(around)
    gc.disable()
    try:
        del around
        assert gone() is None
    finally:
        gc.enable()


def test_a_breaker_is_an_event_of_its_own() -> None:
    gate = Gate("stdout")

    async def work(reporter: Reporting, printers: Printers) -> None:
        reporter.publisher.breaker_opened(BreakerOpened("kind", "recipe", "high", "kills", 30, "the-event"))

    reported(gate, work=work)
    (plain,) = gate.of("agent")
    Draft202012Validator(SCHEMA).validate(plain)
    assert ("agent", "recipe", "high") == (
        plain["event_type"],
        plain["metadata"]["name"],
        plain["metadata"]["importance"],
    )
    assert "the budget of 30 kills a minute is used up" in plain["note"]
    assert ("kills", 30, "the-event") == tuple(plain["fields"]["breaker"][item] for item in ("budget", "limit", "uuid"))
