from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from raqib.events.agent_events import PRINTER, REACTIONS, breaker_event, loss_event
from raqib.model.event import Event, encode
from raqib.model.execution import BreakerOpened
from raqib.model.loss import Culprit, LossReport
from raqib.testing import live_process

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/event.schema.json").read_text())
LOSS_FIELDS = {"kind", "state", "count", "duration_s", "uid", "user"}


def plain(event: Event) -> Any:
    found = json.loads(encode(event))
    Draft202012Validator(SCHEMA).validate(found)
    return found


@pytest.mark.parametrize("kind", ["records", "network", "flood", REACTIONS, f"{PRINTER}stdout", "of_another_kind"])
def test_every_loss_carries_the_same_fields(kind: str) -> None:
    for culprit in (None, Culprit(0, 0, live_process(1))):
        event = plain(loss_event(LossReport(kind, "ended", culprit, 3, 2.5)))
        loss = event["fields"]["loss"]
        assert LOSS_FIELDS == loss.keys()
        assert (kind, 3, 2.5) == (loss["kind"], loss["count"], loss["duration_s"])
        assert ("agent", f"loss_{kind}") == (event["event_type"], event["metadata"]["name"])
        assert event["note"].startswith("it has ended, 3 in 2 s: ")
        assert (("root", 1) if culprit else (None, None)) == (loss["user"], event.get("process", {}).get("pid"))


def test_a_breaker_names_recipe_and_budget() -> None:
    event = plain(breaker_event(BreakerOpened("kind", "recipe", "high", "kills", 30, "the-event")))
    assert ("kind", "recipe", "high") == tuple(event["metadata"][item] for item in ("kind", "name", "importance"))
    assert ("kills", 30, "the-event") == tuple(event["fields"]["breaker"][name] for name in ("budget", "limit", "uuid"))
