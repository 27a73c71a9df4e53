from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from raqib.model.event import Event, Metadata


@pytest.fixture
def make_event() -> Callable[..., Event]:
    def make(number: int = 0, importance: str = "low", **members: Any) -> Event:
        return Event(
            uuid=f"01890a5d-ac96-774b-bcce-{number:012d}",
            timestamp="2026-01-02T03:04:05.678901234Z",
            event_type="execution",
            metadata=Metadata(kind="example", name="example", format="execution", importance=importance),
            **members,
        )

    return make
