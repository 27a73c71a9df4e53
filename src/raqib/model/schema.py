"""The JSON Schema of events: `python -m raqib.model.schema` prints it; docs/event.schema.json is a copy."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from raqib.model.compact import CompactEvent
from raqib.model.event import Event

_WITH_CUT = {"required": ["cut"]}


def event_schema() -> dict[str, Any]:
    """Return the schema, for events of every type in both forms: the compact one has `cut`, the whole one has not."""
    (whole, compact), parts = msgspec.json.schema_components((Event, CompactEvent), ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "raqib event",
        "if": _WITH_CUT,
        "then": compact,
        "else": whole,
        "$defs": parts,
    }


if __name__ == "__main__":
    print(json.dumps(event_schema(), indent=2))
