from __future__ import annotations

from pathlib import Path

from raqib.agent.reload import difference, watched_places
from raqib.recipes.load import load_text
from raqib.recipes.spec import RecipeSpec


def recipes(**importances: str) -> tuple[RecipeSpec, ...]:
    text = "".join(
        f"- {{kind: k, name: {name}, mechanism: execution, breed: execution, importance: {importance}}}\n"
        for name, importance in importances.items()
    )
    return load_text(text, "test.yaml").recipes


def test_differences_by_name() -> None:
    found = difference(recipes(a="low", b="low", c="low"), recipes(b="high", c="low", d="low"))
    assert {"added": ["d"], "changed": ["b"], "removed": ["a"]} == found


def test_a_place_is_the_directory_and_the_one_above(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    assert {tmp_path} == watched_places([directory]).keys()
    directory.parent.mkdir()
    assert {tmp_path / "a"} == watched_places([directory]).keys()
    directory.mkdir()
    places = watched_places([directory])
    assert {tmp_path / "a", directory} == places.keys()
    directory.rename(tmp_path / "old")
    directory.mkdir()
    assert places != watched_places([directory])


def test_a_file_is_watched_by_its_directory(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    assert {tmp_path} == watched_places([tmp_path / "a.yaml"]).keys()
