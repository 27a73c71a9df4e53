"""Something begins to be lost, or has stopped being lost."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal, NamedTuple

import msgspec

from raqib.model.process import Process


class Culprit(NamedTuple):
    """Who caused it, or whom it befell."""

    key: Hashable
    """Who counts as the same."""
    uid: int | None = None
    process: Process | None = None


class LossReport(msgspec.Struct, frozen=True):
    """What is to be told of one loss."""

    kind: str
    state: Literal["begins", "ended"]
    culprit: Culprit | None
    count: int
    """So far; at the end: all."""
    duration_s: float
