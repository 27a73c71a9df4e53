"""A directory of exceptions: files as a whole, last good versions, and what others can write."""

from __future__ import annotations

from pathlib import Path

import pytest

from raqib.exceptions.directory import ExceptionsDirectory, load_path

GOOD = "- {recipe: a, reason: r}\n"


def names(directory: ExceptionsDirectory) -> list[str]:
    return [rule.recipe for rule in directory.load().rules]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "exceptions"
    made.mkdir(mode=0o755)
    return made


def test_there_need_not_be_one(tmp_path: Path) -> None:
    loaded = ExceptionsDirectory(tmp_path / "none").load()
    assert ((), ()) == (loaded.rules, loaded.diagnostics)
    [said] = ExceptionsDirectory(tmp_path / "none", must_exist=True).load().diagnostics
    assert "expected a directory of exceptions, found nothing" in said.message


def test_a_broken_file_costs_only_itself_and_keeps_what_it_said_before(place: Path) -> None:
    (place / "a.yaml").write_text(GOOD)
    (place / "b.yml").write_text("- {recipe: b, reason: r}\n- {recipe: c}\n")
    (place / "c.txt").write_text("- {recipe: x, reason: r}\n")
    directory = ExceptionsDirectory(place)
    loaded = directory.load()
    assert ["a"] == [rule.recipe for rule in loaded.rules]
    assert "nothing in it is in force" == loaded.diagnostics[-1].message
    (place / "a.yaml").write_text(GOOD + "- {recipe: d, reason: [}\n")
    assert ["a"] == names(directory)
    (place / "a.yaml").unlink()
    assert [] == names(directory)


def test_what_others_can_write_quiets_nothing_whatever_it_said_before(place: Path) -> None:
    (place / "a.yaml").write_text(GOOD)
    directory = ExceptionsDirectory(place)
    assert ["a"] == names(directory)
    (place / "a.yaml").chmod(0o664)
    assert [] == names(directory)
    (place / "a.yaml").chmod(0o644)
    assert ["a"] == names(directory)
    place.chmod(0o777)
    loaded = directory.load()
    assert () == loaded.rules
    assert "until then no exception holds" in str(loaded.diagnostics[0])


def test_any_owner_will_do_for_a_check(place: Path) -> None:
    (place / "a.yaml").write_text(GOOD)
    (place / "a.yaml").chmod(0o666)
    assert ["a"] == [rule.recipe for rule in load_path(place).rules]


def test_what_changes_shows(place: Path) -> None:
    directory = ExceptionsDirectory(place)
    before = directory.snapshot()
    (place / "a.yaml").write_text(GOOD)
    assert before != directory.snapshot()
