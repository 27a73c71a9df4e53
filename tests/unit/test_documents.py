"""What the documents name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
