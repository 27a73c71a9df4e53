"""What one stage says of an observation, for people."""

from __future__ import annotations

import msgspec

from raqib.recipes.spec import Because

_LONGEST_TEXT = 400


class Finding(msgspec.Struct, frozen=True):
    """What one stage says."""

    stage: Because
    passed: bool | None
    """None: it depends on what happened before."""
    details: tuple[str, ...]


def quoted(value: bytes | str) -> str:
    """Return text quoted, without control characters, and cut where it is very long."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return ascii(text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "...")
