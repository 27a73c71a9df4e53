"""One word, one meaning: of modules, classes, functions and variables, and of the glossary."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import raqib

SOURCE = Path(raqib.__file__).parent
ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs/glossary.md"

TWICE = {
    "Counts": "what a printer has done; what a recording has",
    "Endpoint": "one side of a flow; the same as an event has it",
    "Item": "what a printer waits for; one condition of `arbitrary`",
    "Owner": "whose a file is, in an event; who asked for workers",
    "Traffic": "how much went each way; the same as an event has it",
    "Worker": "the thread of a printer; the process of an isolate",
}
"""Names that two classes have for now. A new class takes a name of its own."""

INSTEAD = {
    "turn": "lock, activate, sample, slice, round: whichever is meant",
    "made": "created",
    "maker": "creator",
    "victims": "kill_guards, or what is killed",
    "recall": "replay_history",
    "remembered": "what is remembered",
    "trial": "sample",
    "rehearsal": "dry_run",
    "rehearse": "dry_run",
    "without_ledger": "survives_ledger_failure",
}
"""Words that meant several things, each with what is said instead."""

FUNCTIONS = {
    "look": "read, check, poll, or what is looked for",
    "take": "spend, learn, pop, acquire, unblock",
    "put": "push, block, keep",
    "of": "the noun that is returned",
    "_is": "is_ and an adjective",
    "_or": "what the two have in common",
}
"""Names of functions that say nothing of the thing, each with better ones."""

OTHERS = {"connection_made": "asyncio calls it so"}
"""Names that are not ours."""


@cache
def parsed(file: Path) -> ast.Module:
    """Return the tree of a module."""
    return ast.parse(file.read_text())


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield the modules with their trees."""
    for file in sorted(SOURCE.rglob("*.py")):
        yield str(file.relative_to(SOURCE)), parsed(file)


def names_defined(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each name that a module gives: to a class, a function, an argument, a variable, an attribute."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def words_of(name: str) -> list[str]:
    """Return the words of a name, in lower case: those of `_own_turn`, of `MadeDirectories`."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("_own_turn", ["own", "turn"]), ("MadeDirectories", ["made", "directories"]), ("MADE_NAME", ["made", "name"])],
)
def test_a_name_has_its_words(name: str, expected: list[str]) -> None:
    assert expected == words_of(name)


def test_words_that_meant_several_things_are_not_used() -> None:
    found = [
        f"{path}:{line}: {name}; say {INSTEAD[word]}"
        for path, tree in sources()
        for line, name in names_defined(tree)
        for word in words_of(name)
        if word in INSTEAD and name not in OTHERS
    ]
    found += [
        f"{path}: say {INSTEAD[word]}" for path, _ in sources() for word in words_of(Path(path).stem) if word in INSTEAD
    ]
    assert [] == found


def test_functions_say_what_they_do() -> None:
    assert [] == [
        f"{path}:{node.lineno}: {node.name}; say {FUNCTIONS[node.name]}"
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in FUNCTIONS
    ]


def test_what_is_gone_through_has_a_name() -> None:
    files = [
        file
        for folder in (SOURCE, ROOT / "tests", ROOT / "bench", ROOT / "scripts")
        for file in sorted(folder.rglob("*.py"))
    ]
    assert len(files) > 400
    assert [] == [
        f"{file.relative_to(ROOT)}:{node.target.lineno}: say what it is, not `one`"
        for file in files
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension) and ast.unparse(node.target) == "one"
    ]


def test_policy_is_of_the_network() -> None:
    """What the recipes want of the kernel is an interest; only the rules of the network are a policy."""
    found = {
        f"{path}: {node.name}"
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and "policy" in words_of(node.name)
    }
    assert set() == {place for place in found if not place.startswith(("netpolicy/", "agent/net_policy.py"))}


def test_a_public_class_has_a_name_of_its_own() -> None:
    homes = defaultdict(list)
    for path, tree in sources():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(path)
    assert {} == {name: files for name, files in homes.items() if len(files) > 1 and name not in TWICE}


def test_the_glossary_says_each_word_once() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", GLOSSARY.read_text(), re.MULTILINE)
    words = [word.strip(" `") for row in rows for word in row.split(",") if row not in ("word", "---")]
    assert len(words) > 60
    assert [] == sorted({word for word in words if words.count(word) > 1})
