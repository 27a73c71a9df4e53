"""One outcome event after the last reaction of an event."""

from __future__ import annotations

import msgspec

from raqib.agent.outcome import Outcomes
from raqib.reactions import Finished, Timings
from raqib.testing import make_event, make_recipe


def finished(uuid: str, reaction: int) -> Finished:
    return Finished(uuid, "test_kind", "test_recipe", reaction, "ok", "", Timings(1), ())


def test_the_last_reaction_brings_the_event() -> None:
    outcomes = Outcomes()
    event = make_event(make_recipe("a", "b"))
    outcomes.expect(event, 2)
    assert outcomes.add(finished(event.uuid, 1)) is None
    told = outcomes.add(finished(event.uuid, 0))
    assert told is not None
    assert ("outcome", event.uuid) == (told.event_type, told.uuid)
    assert told.fields is not None
    assert [0, 1] == [one["reaction"] for one in msgspec.json.decode(told.fields["reactions"])]
    assert outcomes.add(finished(event.uuid, 0)) is None


def test_a_reaction_that_nobody_waits_for_is_nothing() -> None:
    assert Outcomes().add(finished("unknown", 0)) is None
