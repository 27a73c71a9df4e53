"""What a running agent does with exceptions: counts, lines in the ledger, and one word when one ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from raqib.agent.excepting import LINES_A_MINUTE, Excepting
from raqib.exceptions.directory import ExceptionsDirectory
from raqib.ledger.chain import Ledger
from raqib.matcher.ancestry import KnownAncestry
from raqib.matcher.matcher import Matcher
from raqib.model.actions import FileAction
from raqib.model.event import Event
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.model.where import Where
from raqib.recipes.compile import CompiledSet
from raqib.recipes.load import load_text

RECIPES = """
- kind: k
  name: reading
  mechanism: file_access
  breed: file_access
  importance: low
  bases: [{dir: /d}]
  times: [{kind: times_per_host, max: 1}]
  reactions:
    - {format: js, code: 'function process(data) {}'}
    - {format: js, code: 'function process(data) {}'}
"""


class Place:
    def __init__(self, path: Path) -> None:
        self.events: list[Event] = []
        self.path = path
        self.directory = path / "exceptions"
        self.directory.mkdir(mode=0o755)
        self.ledger = Ledger(path / "ledger.jsonl")
        self.recipes = load_text(RECIPES, "mine.yaml").recipes
        self.matcher = Matcher(CompiledSet(self.recipes), offset_ns=lambda: 0)

    def put(self, more: str = "") -> None:
        text = f"- {{recipe: reading, reason: r, when: [{{what: unit, pattern: ^ci$}}]{more}}}\n"
        (self.directory / "mine.yaml").write_text(text)

    def run(self, work: Callable[[Excepting], None]) -> None:
        """Do the work with the exceptions in force, then end."""

        def use(covering: Any) -> None:
            self.matcher.excepting = covering

        async def run() -> None:
            made = Excepting(
                ExceptionsDirectory(self.directory),
                self.path,
                recipes=lambda: [recipe.info for recipe in self.recipes],
                ledger=lambda: self.ledger,
                publish=self.events.append,
                use=use,
            )
            async with made.watching():
                work(made)

        asyncio.run(run())

    def see(self, made: Excepting, number: int, unit: str = "ci", path: bytes = b"/d/x") -> int:
        """Let a process open a file; return how many matches are to be told."""
        process = Process(ProcessKey(1000 + number, 1), image=Image(b"/bin/x"), where=Where(unit=unit))
        seen = FileObservation(process, path, FileAction.OPEN, FileAction.OPEN, timestamp_ns=1)
        told = 0
        for match in self.matcher.match(seen, KnownAncestry()):
            if match.excepted is None:
                told += 1
            else:
                made.cover(match, seen)
        return told

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "ledger.jsonl").read_text().splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_each_withheld_reaction_has_a_line_and_times_has_room_for_others(place: Place) -> None:
    place.put()

    def work(made: Excepting) -> None:
        assert 0 == sum(place.see(made, number) for number in range(3))
        assert 1 == place.see(made, 10, unit="ssh")
        [found] = made.report()
        assert (3, 6, "/d/x") == (found["count"], found["withheld"], found["last_what"])

    place.run(work)
    lines = place.lines()
    assert [0, 1] * 3 == [line["reaction"] for line in lines]
    assert {("execution", "refused", "reading")} == {
        (line["action"], line["decision"], line["recipe"]) for line in lines
    }
    assert 3 == len({line["uuid"] for line in lines})


def test_what_was_covered_is_told_when_it_is_covered_no_more(place: Place) -> None:
    place.put()
    place.run(lambda made: None if not place.see(made, 1) else pytest.fail("expected it to be quiet"))
    place.matcher.excepting = None
    process = Process(ProcessKey(1001, 1), image=Image(b"/bin/x"), where=Where(unit="ci"))
    seen = FileObservation(process, b"/d/x", FileAction.OPEN, FileAction.OPEN, timestamp_ns=1)
    assert 1 == len(place.matcher.match(seen, KnownAncestry()))


def test_a_flood_of_withheld_reactions_leaves_the_ledger_small(place: Place) -> None:
    place.put()

    def work(made: Excepting) -> None:
        for number in range(1000):
            place.see(made, number)
        made.tell_due()

    place.run(work)
    lines = place.lines()
    assert LINES_A_MINUTE + 1 == len(lines)
    assert 2000 - LINES_A_MINUTE == lines[-1]["arguments"]["more"]


def test_without_exceptions_nothing_is_asked(place: Place) -> None:
    def work(made: Excepting) -> None:
        assert place.matcher.excepting is None
        assert [] == made.report()

    place.run(work)


def test_that_it_ended_is_said_once_and_counts_stay(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    end = datetime.now(UTC) + timedelta(days=1)
    place.put(f", until: '{end.isoformat()}'")

    def work(made: Excepting) -> None:
        made.tell_due()
        assert [] == place.events
        assert 0 == place.see(made, 1)
        later = end.timestamp() + 1
        monkeypatch.setattr("raqib.agent.excepting.time.time", lambda: later)
        made.tell_due()
        made.tell_due()
        [event] = place.events
        assert event.event_type == "agent"
        assert "ended on" in (event.note or "")

    place.run(work)
    monkeypatch.undo()
    place.run(lambda made: None if made.report()[0]["count"] == 1 else pytest.fail("expected the count to stay"))
