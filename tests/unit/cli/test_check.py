from __future__ import annotations

import os
from pathlib import Path

import pytest

from raqib.cli.check import check

RECIPE = """kind: k
  name: n
  version: "1"
  description: d
  tactic: impact
  technique: resource_hijacking
  mechanism: execution
  breed: execution
  importance: low
"""


def told(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    return check([path], as_json=False), capsys.readouterr().out


def test_what_cannot_be_looked_at_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = told(tmp_path / ("x" * 300), capsys)
    assert 1 == status
    assert "File name too long" in said


@pytest.mark.parametrize("begins", ["kind: k\n", "# mine\n---\nname: n\n", "'mechanism': execution\n"])
def test_a_recipe_without_its_dash_is_no_configuration(
    begins: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(begins)
    status, said = told(tmp_path / "a.yaml", capsys)
    assert 1 == status
    assert "expected a list of recipes" in said
    assert "0 configurations" in said


def test_a_configuration_is_told_from_recipes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("reactions: {dry_run: true}\n")
    assert (0, "0 recipes and 1 configuration checked: 0 errors, 0 warnings\n") == told(tmp_path / "a.yaml", capsys)


def test_where_there_are_no_recipes_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yml").write_text("- " + RECIPE)
    assert (0, "1 recipe and 0 configurations checked: 0 errors, 0 warnings\n") == told(tmp_path, capsys)
    (tmp_path / "a.yml").rename(tmp_path / "a.txt")
    status, said = told(tmp_path, capsys)
    assert 0 == status
    assert f"warning: {tmp_path}: expected files *.yaml or *.yml, found none" in said


def test_a_name_that_is_no_text_is_told_in_both_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text("- {kind: k}\n")
    for as_json, name in ((False, "\\xff.yaml"), (True, "\\\\xff.yaml")):
        assert 1 == check([tmp_path], as_json=as_json)
        assert f"{tmp_path}/{name}" in capsys.readouterr().out
