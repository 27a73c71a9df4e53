"""What is wrong in a reaction is told with its line and column in the recipe's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from raqib.config.config import RecipesConfig
from raqib.library.library import Library
from raqib.recipes.diagnostic import Diagnostic

HEAD = """# A comment
- kind: k
  name: n
  version: '1'
  description: d
  tactic: impact
  technique: T1496
  mechanism: execution
  breed: execution
  importance: low
  bases: [{base: x}]
  reactions:
  - format: shell
    code: 'true'
"""
LITERAL = "  -   format: js\n      code: |\n        function process(data) {\n          SAID\n        }\n"


def told(tmp_path: Path, text: str) -> list[Diagnostic]:
    (tmp_path / "a.yaml").write_bytes(text.encode())
    library = Library(RecipesConfig(directories=(tmp_path,), builtin=False, allow_unsafe_owner=True))
    library.load()
    return list(library.diagnostics)


@pytest.mark.parametrize(
    ("code", "severity", "line", "column", "said"),
    [
        (LITERAL.replace("SAID", "let a = ;"), "error", 18, 19, "SyntaxError"),
        (LITERAL.replace("SAID", "KilCurrent();"), "warning", 18, 11, "did you mean KillCurrent?"),
        (LITERAL.replace("SAID", "fetch()").replace("|", "|2-"), "warning", 18, 11, "no network"),
        (LITERAL.replace("SAID", "nope()").replace("code: |", "code: |  # mine\n\n"), "warning", 20, 11, "found nope"),
        ("  - format: js\n    code: 'function process() { nope() }'\n", "warning", 16, 33, "found nope"),
        ("  - {format: js, code: function process() { return nope }}\n", "", 0, 0, ""),
        ('  - {format: js, code: "let a = ;"}\n', "error", 15, 33, "SyntaxError"),
        ("  - format: js\n    code: function process() nope\n", "error", 16, 30, "SyntaxError"),
        (
            "  - format: js\n    code: >\n      function process() {\n\n      nope() }\n",
            "warning",
            16,
            0,
            "line 2, column 1 of the code: expected a name that is defined, found nope",
        ),
        ('  - format: js\n    code: "\\nfunction process() { nope() }"\n', "warning", 16, 35, "found nope"),
        (LITERAL.replace("function", "async function").replace("SAID", ""), "warning", 17, 24, "an async one"),
    ],
)
def test_a_fault_in_code_is_told_where_it_stands(
    tmp_path: Path, code: str, severity: str, line: int, column: int, said: str
) -> None:
    for ending in ("\n", "\r\n"):
        found = [
            report for report in told(tmp_path, (HEAD + code).replace("\n", ending)) if report.path != "reactions[0]"
        ]
        if not severity:
            assert found
            continue
        (one,) = found
        assert (severity, line, column) == (one.severity, one.line, one.column), one
        assert said in one.message
        place = f"{line}:{column}" if column else str(line)
        assert str(one).startswith(f"{tmp_path}/a.yaml:{place}: n: reactions[1].code: ")


def test_a_warning_is_told_once_and_the_recipe_runs(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEAD + LITERAL.replace("SAID", "if (0) KilCurrent();"))
    library = Library(RecipesConfig(directories=(tmp_path,), builtin=False, allow_unsafe_owner=True))
    for _ in range(2):
        assert ["n"] == [recipe.name for recipe in library.load().recipes]
        assert 1 == sum("KilCurrent" in str(diagnostic) for diagnostic in library.diagnostics)


@pytest.mark.parametrize(
    ("change", "code", "found"),
    [
        (("", ""), "KillCurrent()", ""),
        (("  bases: [{base: x}]\n", ""), "KillCurrent()", "KillCurrent"),
        (("  bases: [{base: x}]\n", ""), "const kill = KillTree; kill()", "KillTree"),
        (("  bases: [{base: x}]\n", ""), "Info('KillCurrent()'); DataSet('a', 'KillTree')", ""),
        (("  bases: [{base: x}]\n", ""), "const KillTree = () => 1; KillTree()", ""),
        (("  bases: [{base: x}]\n", "  mode: dry_react\n"), "KillCurrent()", ""),
        (("  bases: [{base: x}]\n", "  base: x\n"), "NetBlockIp()", ""),
        (
            (
                "  bases: [{base: x}]\n",
                "  arbitrary: [{which: irrelevant, items: [{what: uid, number: 0}]}]\n",
            ),
            "NetBlockIp()",
            "",
        ),
        (("  bases: [{base: x}]\n", ""), "NetBlockDomain()", "NetBlockDomain"),
    ],
)
def test_an_action_without_any_condition_is_told(
    tmp_path: Path, change: tuple[str, str], code: str, found: str
) -> None:
    head = HEAD.replace("  - format: shell\n    code: 'true'\n", "").replace(*change) if change[0] else HEAD
    said = [
        str(report) for report in told(tmp_path, head + LITERAL.replace("SAID", code)) if report.path == "reactions[0]"
    ]
    if change[0]:
        assert len(said) == bool(found), said
    if found:
        assert f"n: reactions[0]: expected a condition, found none beside {found}: it acts on every program" in said[0]
