"""One outcome event after the last reaction of an event, and after the event itself."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest

from raqib.events.outcome import Outcomes
from raqib.model.event import Event
from raqib.model.execution import Finished, Timings
from raqib.testing import make_event, make_recipe


def finished(uuid: str, reaction: int) -> Finished:
    return Finished(uuid, "test_kind", "test_recipe", reaction, "ok", "", Timings(1), ())


@pytest.fixture
def published() -> list[Event]:
    return []


@pytest.mark.parametrize("order", [*permutations([None, 0, 1])])
def test_the_last_of_reactions_and_event_brings_the_outcome(
    published: list[Event], order: tuple[int | None, ...]
) -> None:
    outcomes = Outcomes(published.append)
    event = make_event(make_recipe("a", "b"))
    outcomes.expect(event, 2)
    for reaction in order:
        assert [] == published
        if reaction is None:
            outcomes.submitted(event.uuid)
        else:
            outcomes.add(finished(event.uuid, reaction))
    (told,) = published
    assert ("outcome", event.uuid) == (told.event_type, told.uuid)
    assert told.fields is not None
    assert [0, 1] == [record["reaction"] for record in msgspec.json.decode(told.fields["reactions"])]
    outcomes.add(finished(event.uuid, 0))
    outcomes.submitted(event.uuid)
    assert [told] == published


def test_an_event_that_a_printer_had_no_room_for_is_missed_in_the_outcome(published: list[Event]) -> None:
    outcomes = Outcomes(published.append)
    for dropped_by in ([], ["stdout", "varlog"]):
        event = make_event(make_recipe("a"))
        outcomes.expect(event, 1)
        outcomes.submitted(event.uuid, dropped_by)
        outcomes.add(finished(event.uuid, 0))
    assert [None, "no room was left for the event itself at stdout, varlog"] == [item.note for item in published]


def test_a_reaction_that_nobody_waits_for_is_nothing(published: list[Event]) -> None:
    Outcomes(published.append).add(finished("unknown", 0))
    assert [] == published
