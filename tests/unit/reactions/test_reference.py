"""The checked-in reference is the one that the declarations make."""

from __future__ import annotations

from pathlib import Path

import raqib
from raqib.reactions.reference import reference_page, type_declarations

PAGE = Path(__file__).parents[3] / "docs/reactions.md"
TYPES = Path(raqib.__file__).parent / "reactions/raqib.d.ts"


def test_the_page_is_current() -> None:
    assert reference_page() == PAGE.read_text(), "run: python -m raqib.reactions.reference page > docs/reactions.md"


def test_the_declarations_are_current() -> None:
    command = "python -m raqib.reactions.reference types > src/raqib/reactions/raqib.d.ts"
    assert type_declarations() == TYPES.read_text(), f"run: {command}"


def test_signatures_say_what_can_be_omitted() -> None:
    types = type_declarations()
    assert "declare function DataPush(value: string): number;" in types
    assert "declare function DataPush(key: string, value: string): number;" in types
    assert "declare function DataSet(key: string, value: string, ttlSeconds?: number): number;" in types
    assert "### `DataPush([key], value)`" in reference_page()
