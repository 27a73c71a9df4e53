"""One word, one meaning: of classes, and of the glossary."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import raqib

SOURCE = Path(raqib.__file__).parent
GLOSSARY = Path(__file__).parents[2] / "docs/glossary.md"

TWICE = {
    "Counts": "what a printer has done; what a recording has",
    "Endpoint": "one side of a flow; the same as an event has it",
    "Item": "what a printer waits for; one condition of `arbitrary`",
    "Notice": "what a reaction wants to tell; the loss that an agent event is about",
    "Owner": "whose a file is, in an event; who asked for workers",
    "Traffic": "how much went each way; the same as an event has it",
    "Worker": "the thread of a printer; the process of an isolate",
}
"""Names that two classes have for now. A new class takes a name of its own."""


def test_a_public_class_has_a_name_of_its_own() -> None:
    homes = defaultdict(list)
    for file in SOURCE.rglob("*.py"):
        for name in re.findall(r"^class ([A-Z]\w*)", file.read_text(), re.MULTILINE):
            homes[name].append(str(file.relative_to(SOURCE)))
    assert {} == {name: files for name, files in homes.items() if len(files) > 1 and name not in TWICE}


def test_the_glossary_says_each_word_once() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", GLOSSARY.read_text(), re.MULTILINE)
    words = [word.strip(" `") for row in rows for word in row.split(",") if row not in ("word", "---")]
    assert len(words) > 60
    assert [] == sorted({word for word in words if words.count(word) > 1})
