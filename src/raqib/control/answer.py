"""What an operator is told of what was asked for."""

from __future__ import annotations

from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """What became of it."""

    done: bool
    result: Any = None
    reason: str = ""
