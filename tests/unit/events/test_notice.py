"""A notice becomes an event of its own."""

from __future__ import annotations

import json

from raqib.events.notice import notice_event
from raqib.model.event import encode
from raqib.model.execution import Notice
from raqib.testing import make_detection


def test_event_of_a_notice() -> None:
    detection = make_detection("")
    event = json.loads(encode(notice_event(Notice(detection, 1, "seen\n", {"é": [1]}))))
    assert ("notify", "notify", "seen\n") == (event["event_type"], event["metadata"]["format"], event["note"])
    assert detection.recipe.name == event["metadata"]["name"]
    assert {"event": detection.event.uuid, "reaction": 1, "title": "seen\n", "fields": {"é": [1]}} == event["fields"]
    assert event["uuid"] != detection.event.uuid
