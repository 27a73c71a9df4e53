"""What a reaction wants to be told to whoever reads the events."""

from __future__ import annotations

from typing import Any

import msgspec

from raqib.model.detection import Detection


class Notice(msgspec.Struct, frozen=True):
    """An event of its own, to be printed like all others."""

    detection: Detection
    """What the reaction reacts to."""
    reaction: int
    title: str
    fields: dict[str, Any]
