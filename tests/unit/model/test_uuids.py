"""How an event is named to people."""

from __future__ import annotations

import pytest

from raqib.model.uuids import is_named_by


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("019c8f2e-1111-7abc-8def-b302099a8057", True),
        ("019c8f2e", True),
        ("b302099a8057", True),
        ("302099a8057", False),
        ("8def-b302099a8057", False),
        ("b302099a8058", False),
    ],
)
def test_an_event_is_named_by_its_uuid_its_beginning_or_its_short_form(text: str, names: bool) -> None:
    assert names == is_named_by("019c8f2e-1111-7abc-8def-b302099a8057", text)
