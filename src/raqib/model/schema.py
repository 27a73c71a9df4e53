"""The JSON Schema of events: `python -m raqib.model.schema` prints it; docs/event.schema.json is a copy."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from raqib.model.event import Event


def event_schema() -> dict[str, Any]:
    """Return the schema, for printed events of every type."""
    schema = msgspec.json.schema(Event)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "raqib event", **schema}


if __name__ == "__main__":
    print(json.dumps(event_schema(), indent=2))
