"""The checked-in schema is the one that the code makes."""

from __future__ import annotations

import json
from pathlib import Path

from raqib.model.schema import event_schema

SCHEMA = Path(__file__).parents[3] / "docs/event.schema.json"


def test_the_schema_is_current() -> None:
    assert event_schema() == json.loads(SCHEMA.read_text()), (
        "run: python -m raqib.model.schema > docs/event.schema.json"
    )
