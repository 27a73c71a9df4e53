"""What a reaction wants to be told becomes an event of its own."""

from __future__ import annotations

import time

import msgspec

from raqib.events.build import uuid7
from raqib.model.clock import rfc3339
from raqib.model.event import Event
from raqib.model.execution import Notice


def notice_event(notice: Notice) -> Event:
    """Return the `notify` event of a notice; `fields.event` is the uuid of what the reaction reacts to."""
    event = notice.detection.event
    carried = {"event": event.uuid, "reaction": notice.reaction, "title": notice.title, "fields": notice.fields}
    return Event(
        uuid=uuid7(),
        timestamp=rfc3339(time.time_ns()),
        event_type="notify",
        metadata=msgspec.structs.replace(event.metadata, format="notify"),
        note=notice.title,
        process=event.process,
        fields={name: msgspec.Raw(msgspec.json.encode(value)) for name, value in carried.items()},
    )
