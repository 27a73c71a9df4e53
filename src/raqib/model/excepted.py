"""Which exception a match was covered by."""

from __future__ import annotations

import msgspec


class Excepted(msgspec.Struct, frozen=True):
    """What is told of an exception where it holds."""

    id: str
    """Eight hexadecimal digits, the same for as long as it says the same."""
    source: str
    """The file, and the line."""
    reason: str
