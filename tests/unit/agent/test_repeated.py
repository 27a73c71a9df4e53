from __future__ import annotations

import json
from typing import Any

from raqib.agent.repeated import TELL_AFTER_S, Repeated
from raqib.model.event import Event, encode
from raqib.printers.pretty import Pretty
from tests.unit.agent.test_reporting import detection, process, surroundings


def told(repeated: Repeated, *, calm: bool = True, room: bool = True) -> list[Event]:
    events: list[Event] = []
    repeated.tell(lambda name: calm, lambda event: events.append(event) or room)  # type: ignore[func-returns-value]
    return events


def carried(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode(event))
    return found


def test_one_event_a_recipe_with_number_first_last_and_an_example_of_each_user() -> None:
    repeated = Repeated()
    one, other = surroundings(process()), surroundings(process(8, 0))
    for number in range(100):
        repeated.count(detection(around=one, number=number * 10**9))
    repeated.count(detection(around=other, number=5))
    repeated.count(detection("second", one))
    first, second = map(carried, told(repeated))
    assert (101, 1) == (first["count"], second["count"])
    about = first["fields"]["repeated"]
    assert about["first"] < about["last"]
    assert [65534, 0] == [example["uid"] for example in about["examples"]]
    assert "/d/0" == about["examples"][0]["file"]
    assert [] == told(repeated)


def test_it_is_told_when_it_is_calm_or_has_lasted_and_only_where_there_is_room() -> None:
    now = [0.0]
    repeated = Repeated(lambda: now[0])
    repeated.count(detection())
    assert [] == told(repeated, calm=False)
    assert [1] == [event.count for event in told(repeated, room=False)]
    repeated.count(detection())
    now[0] = TELL_AFTER_S
    assert [2] == [event.count for event in told(repeated, calm=False)]


def test_what_is_held_is_bounded_whatever_the_names() -> None:
    repeated = Repeated()
    for number in range(50):
        repeated.count(detection(around=surroundings(process(exe=b"/%d/" % number + b"x" * 4000))))
    (event,) = told(repeated)
    assert 50 == event.count
    assert len(encode(event)) < 4096


def test_people_see_the_examples_and_no_control_characters() -> None:
    repeated = Repeated()
    repeated.count(detection(around=surroundings(process(exe=b"/bin/\x1b[2Jx"))))
    text = Pretty().render(*told(repeated))
    assert "only counted" in text
    assert "uid 65534" in text
    assert "\x1b" not in text
