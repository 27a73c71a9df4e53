"""What the documents say is so, and what they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raqib.actions.helpers.table import HELPERS
from raqib.cli.table import COMMANDS
from raqib.config.config import Config, RecipesConfig
from raqib.exceptions.compiled import CompiledExceptions
from raqib.exceptions.doubts import doubts
from raqib.exceptions.load import load_text as load_exceptions
from raqib.library.library import Library
from raqib.matcher.ancestry import KnownAncestry
from raqib.matcher.facts import Facts
from raqib.model.actions import FileAction
from raqib.model.observation import FileObservation
from raqib.model.process import Process, ProcessKey
from raqib.model.where import Where
from raqib.offline.recipe_tests import run_recipe_tests
from raqib.recipes.load import load_builtin

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]
WIDEST = 120


def test_each_answer_to_where_is_a_file() -> None:
    rows = re.findall(r"^\| (.+\?) \| `(.+)` \|$", (ROOT / "docs/where.md").read_text(), re.MULTILINE)
    assert len(rows) >= 20
    assert [] == [path for _, path in rows if not (ROOT / path).is_file()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_file_that_is_named_exists(document: Path) -> None:
    text = document.read_text()
    named = set(re.findall(r"`((?:src|bpf|bench|scripts|tests|docs)/[\w./-]+\.\w+)`", text))
    linked = {
        target
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
        if not target.startswith(("http", "mailto:"))
    }
    missing = [path for path in named if not (ROOT / path).exists()]
    missing += [path for path in linked if not (document.parent / path).exists()]
    assert [] == missing


def prose_lines(text: str) -> list[str]:
    """Return the lines without code, fenced or indented, and without tables."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for line in text.splitlines() if not line.startswith(("|", "    "))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_prose_is_not_too_wide_to_be_read(document: Path) -> None:
    assert [] == [line for line in prose_lines(document.read_text()) if len(line) > WIDEST]


def test_the_house_has_the_rooms_that_are_there() -> None:
    picture = (ROOT / "ARCHITECTURE.md").read_text().split("## The house")[1].split("```")[1]
    source = ROOT / "src/raqib"
    rooms = {folder.name for folder in source.iterdir() if (folder / "__init__.py").exists()}
    nested = {
        folder.name
        for folder in source.glob("*/*/")
        if (folder / "__init__.py").exists() and folder.parent.name in rooms
    }
    drawn = {word for word in re.findall(r"[a-z]+", picture) if word in rooms | nested}
    assert rooms | nested == drawn
    sections = set(re.findall(r"^### `([\w/]+)/`", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE))
    assert {*rooms, "bpf", "bpf/net", "actions/helpers", "reactions/worker", "reactions/shell"} == sections


def test_each_step_of_a_record_is_where_it_is_said_to_be() -> None:
    table = (ROOT / "ARCHITECTURE.md").read_text().split("## One record")[1].split("\n## ")[0]
    steps = re.findall(r"^\| \d+ \| `([\w/.]+)` `([\w.]+)`", table, re.MULTILINE)
    assert len(steps) >= 12
    missing = [
        (path, name)
        for path, name in steps
        if not all(
            re.search(rf"(?:def|class) {part}\b|\b{part}\(", (ROOT / path).read_text()) for part in name.split(".")
        )
    ]
    assert [] == missing


def section(page: str, title: str) -> str:
    """Return what stands below a title, until the next of that rank or above."""
    text = (ROOT / page).read_text()
    found = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert found, f"{page}: no section {title}"
    after = text[found.end() :]
    following = re.search(rf"^#{{1,{len(found[1])}}} ", after, re.MULTILINE)
    return after[: following.start()] if following else after


def test_operating_names_all_that_can_be_undone() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.+) \|$", section("docs/operating.md", "The ledger"), re.MULTILINE)
    told = {name: how for names, how in rows for name in re.findall(r"`(\w+)`", names)}
    assert {helper.name: helper.undo.says for helper in HELPERS.values() if helper.undo is not None} == told


def test_the_quiet_recipe_takes_the_place_of_the_built_in(tmp_path: Path) -> None:
    [written] = re.findall(
        r"^```yaml\n(.*?)^```$", section("docs/recipes.md", "Making one quiet for one service"), re.M | re.S
    )
    (tmp_path / "mine.yaml").write_text(written)
    library = Library(RecipesConfig(directories=(tmp_path,), allow_unsafe_owner=True))
    [found] = [recipe for recipe in library.load().recipes if recipe.name == "ssl_certificate_access"]
    assert not found.info.builtin
    assert [] == [str(diagnostic) for diagnostic in library.diagnostics]
    reports = run_recipe_tests([found], Config(data_dir=tmp_path))
    assert 3 == len(reports)
    assert [] == [report for report in reports if report.outcome != "passed"]


def test_the_exception_for_one_service_quiets_that_service_alone() -> None:
    [written] = re.findall(
        r"^```yaml\n(.*?)^```$", section("docs/exceptions.md", "Quiet one recipe for one service"), re.M | re.S
    )
    loaded = load_exceptions(written, "docs/exceptions.md")
    [recipe] = [
        recipe_found.info for recipe_found in load_builtin().recipes if recipe_found.name == loaded.rules[0].recipe
    ]
    assert [] == [str(rule) for rule in (*loaded.diagnostics, *doubts(loaded.rules, [recipe], now_s=0.0))]
    compiled = CompiledExceptions(loaded.rules, 0, lambda: 0.0)

    def is_quiet(unit: str, path: bytes) -> bool:
        process = Process(ProcessKey(7, 7), where=Where(unit=unit))
        seen = FileObservation(process, path, FileAction.EXECVE, FileAction.EXECVE, timestamp_ns=0)
        return compiled.covering(recipe, Facts(process, KnownAncestry(), file=seen)) is not None

    assert is_quiet("ci-runner.service", b"/tmp/build-7/tool")
    assert not is_quiet("ci-runner.service", b"/tmp/tool")
    assert not is_quiet("nginx.service", b"/tmp/build-7/tool")


def test_the_table_of_commands_has_them_all() -> None:
    text = (ROOT / "README.md").read_text()
    assert [] == [name for name in COMMANDS if f"`raqib {name}" not in text and f"raqib {name} " not in text]
