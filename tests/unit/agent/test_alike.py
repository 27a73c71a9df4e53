"""What is alike is printed once and told together; an attack behind a dull first one is printed at once."""

from __future__ import annotations

import json
import os
from pathlib import Path

from jsonschema import Draft202012Validator
from msgspec.structs import replace

from raqib.agent.alike import AT_ONCE_A_MINUTE, MAX_KINDS, Alike
from raqib.agent.repeated import CountedDetections
from raqib.events.build import detect
from raqib.model.actions import FileAction
from raqib.model.detection import Detection
from raqib.model.event import Event, encode
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.model.recipe import Importance, RecipeInfo
from raqib.model.where import Where
from raqib.printers.pretty import Pretty

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/event.schema.json").read_text())
PARENT = Process(ProcessKey(os.getpid(), 1), image=Image(b"/bin/sh"))


def detection(
    path: str = "/d/a",
    *,
    name: str = "r",
    importance: Importance = "low",
    exe: bytes = b"/bin/x",
    args: tuple[bytes, ...] = (b"x",),
    uid: int = 1000,
    parent: bytes = b"/bin/sh",
    container: str | None = None,
) -> Detection:
    where = None if container is None else Where(container=container)
    # Nobody has this number, so the session is that of the parent.
    process = Process(ProcessKey(2**22, 2), uid=uid, image=Image(exe, args), where=where)
    seen = FileObservation(process, path.encode(), FileAction.OPEN, FileAction.OPEN, timestamp_ns=1)
    recipe = RecipeInfo(kind="k", name=name, mechanism="file_access", importance=importance)
    return detect(recipe, seen, [replace(PARENT, image=Image(parent))], (), "")


class Line:
    """What is printed, by a clock that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self.printed = 0
        self.told: list[Event] = []
        self.given_up: list[CountedDetections] = []
        self.has_room = True
        self.alike = Alike(self._publish, self.given_up.append, lambda: self.now)

    def _publish(self, event: Event) -> bool:
        if self.has_room:
            self.told.append(event)
        return self.has_room

    def meet(self, one: Detection) -> bool:
        """Return whether it is printed."""
        taken = self.alike.takes(one)
        self.printed += not taken
        return not taken

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.alike.tell_due()

    @property
    def counted(self) -> int:
        return sum(event.count for event in self.told if isinstance(event.count, int))


def test_five_thousand_in_ten_minutes_are_few_lines_and_exact_counts() -> None:
    for importance in ("low", "critical"):
        line = Line()
        for _ in range(5000):
            line.meet(detection(importance=importance))
            line.pass_by(600 / 5000)
        line.alike.tell_due(all_of_it=True)
        assert line.printed + len(line.told) <= 20
        assert 5000 == line.printed + line.counted


def test_it_is_told_at_growing_intervals_with_first_last_and_examples() -> None:
    line = Line()
    assert line.meet(detection())
    times = []
    for _ in range(2000):
        line.meet(detection())
        before = len(line.told)
        line.pass_by(1)
        times += [line.now] * (len(line.told) - before)
    assert [10.0, 70.0, 670.0, 1270.0, 1870.0] == times
    event = line.told[0]
    assert ("repeated", "r") == (event.event_type, event.metadata.name)
    assert event.process is not None
    assert "/bin/x" == event.process.exe
    plain = json.loads(encode(event))
    Draft202012Validator(SCHEMA).validate(plain)
    [example] = plain["fields"]["repeated"]["examples"]
    assert "/d/a" == example["file"]
    assert "they are like one that was" in Pretty().render(event)


def test_after_a_quiet_time_it_is_printed_again() -> None:
    line = Line()
    assert line.meet(detection())
    assert not line.meet(detection())
    line.pass_by(10)
    line.pass_by(60)
    assert line.meet(detection())
    assert [1] == [event.count for event in line.told]


def test_what_differs_is_another_kind() -> None:
    line = Line()
    others = [
        detection(),
        detection(name="other"),
        detection(exe=b"/bin/y"),
        detection(parent=b"/bin/bash"),
        detection("/e/a"),
        detection(uid=0),
        detection(container="0123"),
    ]
    assert all(map(line.meet, others))
    assert not any(map(line.meet, others))


def test_an_attack_behind_a_dull_first_one_is_printed_at_once() -> None:
    line = Line()
    assert line.meet(detection(importance="high"))
    assert not line.meet(detection(importance="high"))
    assert line.meet(detection(importance="high", args=(b"x", b"--attack")))
    assert line.meet(detection("/d/other", importance="high"))
    assert not line.meet(detection("/d/other", importance="high"))


def test_what_matters_less_is_an_example_of_the_next_count() -> None:
    line = Line()
    assert line.meet(detection())
    assert not line.meet(detection("/d/other"))
    line.pass_by(11)
    [event] = line.told
    assert "/d/other" in encode(event).decode()


def test_what_is_new_is_printed_ten_times_a_minute_and_then_as_soon_as_it_may() -> None:
    line = Line()
    assert line.meet(detection(importance="high"))
    printed = [line.meet(detection(f"/d/{number}", importance="high")) for number in range(50)]
    assert AT_ONCE_A_MINUTE == sum(printed)
    assert all(printed[:AT_ONCE_A_MINUTE])
    line.pass_by(61)
    assert line.meet(detection("/d/49", importance="high"))
    assert not line.meet(detection("/d/0", importance="high"))
    line.alike.tell_due(all_of_it=True)
    assert 53 == line.printed + line.counted


def test_who_makes_ever_new_kinds_makes_nobody_lose() -> None:
    line = Line()
    assert line.meet(detection())
    assert not line.meet(detection())
    for number in range(MAX_KINDS):
        line.meet(detection(exe=b"/bin/%d" % number))
    assert [1] == [event.count for event in line.told]


def test_what_cannot_be_told_is_given_to_who_waits_for_room() -> None:
    line = Line()
    line.meet(detection())
    line.meet(detection())
    line.has_room = False
    line.pass_by(11)
    assert [] == line.told
    line.alike.tell_due(all_of_it=True)
    assert [1] == [held.count for held in line.given_up]
