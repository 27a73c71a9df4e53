from __future__ import annotations

from pathlib import Path

import pytest

from raqib.config.config import RecipesConfig
from raqib.library.library import Library, gather, is_unsettled

GOOD = "function process(data) {}"


def text(*names: str, code: str = GOOD, extra: str = "") -> str:
    return "".join(
        f"- {{kind: k, name: {name}, version: '1', description: d, tactic: impact, technique: resource_hijacking, "
        f"mechanism: execution, breed: execution, importance: low, "
        f"reactions: [{{format: js, code: '{code}'}}] {extra}}}\n"
        for name in names
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "recipes").mkdir()
    return tmp_path / "recipes"


@pytest.fixture
def library(directory: Path) -> Library:
    return Library(RecipesConfig(directories=(directory,), builtin=False, allow_unsafe_owner=True))


SHELLS = """
- {kind: k, name: s, version: '1', description: d, tactic: impact, technique: resource_hijacking, mechanism: execution,
   breed: execution, importance: low, mode: MODE, bases: [{base: x}],
   reactions: [{format: js, code: 'function process(data) {}'}, {format: shell, code: 'true'}]}
"""


@pytest.mark.parametrize(
    ("mode", "shell", "warned"),
    [("react", False, True), ("react", True, False), ("dry_react", False, False), ("alert", False, False)],
)
def test_a_shell_reaction_that_will_be_refused_is_told(directory: Path, mode: str, shell: bool, warned: bool) -> None:
    config = RecipesConfig(directories=(directory,), builtin=False, allow_unsafe_owner=True)
    library = Library(config, shell=shell)
    (directory / "s.yaml").write_text(SHELLS.replace("MODE", mode))
    assert ["s"] == names(library)
    expected = "s: reactions[1]: expected shell reactions to be switched on"
    assert [True] * warned == [
        expected in str(diagnostic) and diagnostic.severity == "warning" for diagnostic in library.diagnostics
    ]


def names(library: Library) -> list[str]:
    return sorted(recipe.name for recipe in library.load().recipes)


def told(library: Library) -> str:
    return "\n".join(map(str, library.diagnostics))


def test_files_come_change_and_go(library: Library, directory: Path) -> None:
    assert [] == names(library)
    (directory / "a.yaml").write_text(text("a"))
    assert ["a"] == names(library)
    (directory / "b.yml").write_text(text("b", "c"))
    (directory / ".hidden.yaml").write_text(text("hidden"))
    (directory / "a.yaml~").write_text(text("backup"))
    assert ["a", "b", "c"] == names(library)
    (directory / "a.yaml").unlink()
    (directory / "b.yml").write_text(text("b"))
    assert ["b"] == names(library)
    (directory / "b.yml").write_text("")
    assert [] == names(library)


def test_a_file_that_cannot_be_parsed_keeps_its_last_good_version(library: Library, directory: Path) -> None:
    (directory / "a.yaml").write_text(text("a", "b"))
    assert ["a", "b"] == names(library)
    for broken in (text("a") + "  - [", "just: a mapping", "- 7", "\0"):
        (directory / "a.yaml").write_text(broken)
        assert ["a", "b"] == names(library), broken
        assert "its last good version stays in force" in told(library)
    (directory / "a.yaml").write_text(text("a"))
    assert ["a"] == names(library)
    assert "" == told(library)


def test_an_invalid_recipe_keeps_its_own_last_good_version(library: Library, directory: Path) -> None:
    file = directory / "a.yaml"
    file.write_text(text("a", "b"))
    assert ["a", "b"] == names(library)
    file.write_text(text("a", extra=", oops: 1") + text("b", extra=", times: [{kind: times_per_host, max: 3}]"))
    loaded = {recipe.name: recipe for recipe in library.load().recipes}
    assert {"a", "b"} == loaded.keys()
    assert 1 == len(loaded["b"].times)
    assert "a: its last good version stays in force" in told(library)


def test_a_reaction_that_does_not_compile_costs_what_is_new(library: Library, directory: Path) -> None:
    file = directory / "a.yaml"
    file.write_text(text("a") + text("new", code="let x = 1"))
    assert ["a"] == names(library)
    file.write_text(text("a", code="function (") + text("new"))
    loaded = {recipe.name: recipe for recipe in library.load().recipes}
    assert {"a", "new"} == loaded.keys()
    assert GOOD == loaded["a"].info.reactions[0].code
    assert "a: reactions[0].code" in told(library)


def test_what_others_can_write_is_refused_and_what_was_read_before_stays(directory: Path) -> None:
    library = Library(RecipesConfig(directories=(directory,), builtin=False))
    (directory / "a.yaml").write_text(text("a"))
    (directory / "b.yaml").write_text(text("b"))
    directory.chmod(0o755)
    (directory / "a.yaml").chmod(0o644)
    (directory / "b.yaml").chmod(0o666)
    if directory.stat().st_uid != 0:
        assert [] == names(library)
        assert "expected root as owner" in told(library)
        return
    assert ["a"] == names(library)
    assert "expected that root alone can write" in told(library)
    (directory / "a.yaml").write_text(text("evil"))
    (directory / "a.yaml").chmod(0o666)
    assert ["a"] == names(library)
    directory.chmod(0o777)
    assert ["a"] == names(library)


def test_a_broken_file_keeps_its_last_good_version_under_another_name(library: Library, directory: Path) -> None:
    file, renamed = directory / "a.yaml", directory / "b.yaml"
    file.write_text(text("one", "two"))
    assert ["one", "two"] == names(library)
    file.write_text(text("one", "two", code="function process("))
    file.rename(renamed)
    assert ["one", "two"] == names(library)
    assert "b.yaml: one: " in told(library)
    assert "its last good version stays in force" in told(library)
    renamed.write_text("- {")
    renamed.rename(file)
    assert ["one", "two"] == names(library)
    file.unlink()
    assert [] == names(library)


def test_a_snapshot_shows_every_change(library: Library, directory: Path) -> None:
    before = library.snapshot()
    file = directory / "a.yaml"
    file.write_text(text("a"))
    added = library.snapshot()
    assert before.keys() < added.keys()
    assert is_unsettled(added)
    file.chmod(0o600)
    assert library.snapshot() != added
    file.rename(directory / "b.yaml")
    assert {directory, directory / "b.yaml"} == library.snapshot().keys()


def test_a_user_replaces_a_built_in_and_gives_it_back(directory: Path) -> None:
    library = Library(RecipesConfig(directories=(directory,), allow_unsafe_owner=True))
    file = directory / "mine.yaml"
    file.write_text(text("dynamic_linker_attacks"))
    mine = {recipe.name: recipe for recipe in library.load().recipes}["dynamic_linker_attacks"]
    assert not mine.info.builtin
    file.unlink()
    again = {recipe.name: recipe for recipe in library.load().recipes}["dynamic_linker_attacks"]
    assert again.info.builtin


def test_nothing_there_is_told(tmp_path: Path) -> None:
    loaded = gather(RecipesConfig(directories=(tmp_path / "none",), builtin=False))
    assert "found nothing" in str(loaded.errors[0])


def test_what_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    library = Library(RecipesConfig(directories=(tmp_path / ("x" * 300),), builtin=False))
    assert [] == names(library)
    assert "File name too long" in told(library)
