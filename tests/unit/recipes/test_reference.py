"""The checked-in tables are those that the code makes, and say something of everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from raqib.matcher import times
from raqib.model.actions import ACTION_NAMES
from raqib.model.flow import FLOW_ACTION_NAMES
from raqib.recipes import reference
from raqib.recipes.check_arbitrary import FACTS, TIMES_KINDS
from raqib.recipes.reference import FILE_ACTIONS, FLOW_ACTIONS, TIMES, fact_meaning, reference_page

PAGE = Path(__file__).parents[3] / "docs/reference.md"


def test_the_page_is_current() -> None:
    assert reference_page() == PAGE.read_text(), "run: python -m raqib.recipes.reference > docs/reference.md"


def test_everything_is_described_and_nothing_else() -> None:
    assert list(ACTION_NAMES) == list(FILE_ACTIONS)
    assert list(FLOW_ACTION_NAMES) == list(FLOW_ACTIONS)
    assert set(TIMES_KINDS.values()) == set(TIMES) == set(times._VALUES)
    assert set(reference._OTHER_FACTS) <= set(FACTS)
    for name in FACTS:
        assert fact_meaning(name)
    with pytest.raises(KeyError):
        fact_meaning("cousin_exe")


def test_a_longer_prefix_is_not_taken_for_a_shorter_one() -> None:
    assert fact_meaning("task_or_parent_exe").startswith("the process or its parent: ")
    assert fact_meaning("parent_exe").startswith("its parent: ")
