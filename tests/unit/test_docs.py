"""What the documentation says is so."""

from __future__ import annotations

import re
from pathlib import Path

from raqib.actions.helpers.table import HELPERS
from raqib.cli.table import COMMANDS
from raqib.config.config import Config, RecipesConfig
from raqib.library.library import Library
from raqib.offline.recipe_tests import run_trials

ROOT = Path(__file__).parents[2]


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
    [found] = [one for one in library.load().recipes if one.name == "ssl_certificate_access"]
    assert not found.info.builtin
    assert [] == [str(one) for one in library.diagnostics]
    reports = run_trials([found], Config(data_dir=tmp_path))
    assert 3 == len(reports)
    assert [] == [one for one in reports if one.outcome != "passed"]


def test_the_table_of_commands_has_them_all() -> None:
    text = (ROOT / "README.md").read_text()
    assert [] == [name for name in COMMANDS if f"`raqib {name}" not in text and f"raqib {name} " not in text]
