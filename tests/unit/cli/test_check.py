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


GOOD = f"- {RECIPE}  bases: [{{base: x}}]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("importance", "importence"), ":9: n: $[0].importence: expected a known field, found 'import"),
        (GOOD.replace("\n  breed", "\n   breed"), "in this context; indent the line as those above"),
        (GOOD.replace("\n  breed", "\n breed"), ":8: expected YAML: while parsing a block collection, did not find"),
        (GOOD.replace("\n  breed", "\n\tbreed"), "(it begins in line 7); indent with blanks, not with tabs"),
        ("\t- kind: k", "; indent with blanks, not with tabs"),
        (GOOD.replace("description: d", "description: a: b"), ":4: expected YAML: mapping values are not allowed"),
        (GOOD.replace("base: x", 'base: "x'), "unexpected end of stream (it begins in line 10); close the quote"),
        (GOOD + "  reactions:\n  - format: js\n    code: |\n    function process() {}\n", ":15: expected YAML: "),
        (GOOD.encode("utf-16"), ":1: expected UTF-8, found UTF-16; save the file as UTF-8"),
        (GOOD.encode("utf-16-le"), ":1: expected UTF-8, found UTF-16; save the file as UTF-8"),
        (b"\x7fELF\xd0\0", ":1: expected UTF-8, found the byte 0xd0"),
        (RECIPE, ":2: expected YAML: mapping values are not allowed in this context"),
        (RECIPE.replace("\n  ", "\n"), "found a mapping; begin each recipe with a dash, and indent the lines after it"),
        ("just text", ":1: $: expected a list of recipes, found a string"),
        ("[{}]", ":1: $[0]: expected kind, found none"),
        ("network_policy: {cidr_mod: both}", ":1: network_policy: $.network_policy.cidr_mod: expected a known field"),
    ],
)  # fmt: skip
def test_a_slip_is_told_with_its_line_and_remedy(
    text: str | bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    status, found = told(tmp_path / "a.yaml", capsys)
    assert 1 == status
    assert said in found
    assert f"error: {tmp_path}/a.yaml:" in found


@pytest.mark.parametrize("text", [f"\ufeff{GOOD}", GOOD.replace("\n", "\r\n"), f"---\n{GOOD}...\n"])
def test_what_editors_leave_is_no_fault(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_bytes(text.encode())
    assert (0, "1 recipe and 0 configurations checked: 0 errors, 0 warnings\n") == told(tmp_path / "a.yaml", capsys)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_a_file_with_nothing_in_it_is_told(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(text)
    status, found = told(tmp_path / "a.yaml", capsys)
    assert 0 == status
    assert f"warning: {tmp_path}/a.yaml: expected a list of recipes, found nothing there" in found


def test_a_policy_among_recipes_is_told_where_it_belongs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yml").write_text("network_policy: {cidr_mode: both}\n")
    status, found = told(tmp_path, capsys)
    assert 1 == status
    assert "found a mapping with a network policy, which belongs to --policy or" in found
    assert (0, "0 recipes and 0 configurations and 1 policy file checked: 0 errors, 0 warnings\n") == told(
        tmp_path / "a.yml", capsys
    )


def test_json_is_yaml_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.json").write_text('{"printers": {"raw": 1}}')
    assert ":1: $.printers.raw: expected true or false, found '1'" in told(tmp_path / "c.json", capsys)[1]
