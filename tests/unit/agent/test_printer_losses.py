from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from raqib.agent.losses import publish_losses
from raqib.agent.printer_losses import PrinterLosses
from raqib.events.agent_events import REACTIONS
from raqib.model.event import Event, encode
from raqib.printers import Counts

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/event.schema.json").read_text())


def test_a_printers_losses_are_told_when_they_begin_and_when_they_have_ended_with_their_number() -> None:
    counts = {"stdout": Counts(1, 0, 0, 0), "varlog": Counts(1, 0, 0, 0)}
    told: list[Event] = []
    losses = publish_losses(told.append)
    printers = PrinterLosses(lambda: counts, losses)
    printers.check()
    assert [] == told
    for number in (3, 8, 8):
        counts["stdout"] = Counts(1, 0, number, 0)
        printers.check()
    assert 1 == len(told)
    losses.close()
    events: list[dict[str, Any]] = [json.loads(encode(report)) for report in told]
    for event in events:
        Draft202012Validator(SCHEMA).validate(event)
    carried = [event["fields"]["loss"] for event in events]
    assert [("begins", 3), ("ended", 8)] == [(loss["state"], loss["count"]) for loss in carried]
    assert {"printer_stdout"} == {loss["kind"] for loss in carried}
    assert all("'stdout'" in event["note"] for event in events)


def test_reactions_that_are_dropped_are_told_alike() -> None:
    told: list[Event] = []
    losses = publish_losses(told.append)
    for _ in range(5):
        losses.count(REACTIONS, 1)
    losses.close()
    carried = [json.loads(encode(report))["fields"]["loss"] for report in told]
    assert [("reactions", 1), ("reactions", 5)] == [(loss["kind"], loss["count"]) for loss in carried]
