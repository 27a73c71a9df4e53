"""The unit tests of a module lie where the module lies."""

from __future__ import annotations

from pathlib import Path

import raqib

SOURCE = Path(raqib.__file__).parent
TESTS = Path(__file__).parent

OF_NO_MODULE = {
    "test_documents.py": "documents, and what they name",
    "test_imports.py": "the directions between all rooms",
    "test_mirror.py": "where tests lie",
    "test_required_kernel.py": "conftest.py of all tests",
    "test_whole_objects.py": "classes of several rooms: none is half there",
    "config/test_defaults.py": "the settings of several rooms: each default stands once",
    "test_words.py": "names of all rooms, and the glossary",
    "offline/test_one_dry_run.py": "three commands that have to answer alike",
    "printers/test_golden.py": "the bytes that a terminal is sent, whichever modules made them",
    "reactions/test_last_words.py": "the log that is written before a host goes down",
    "reactions/test_package.py": "the package itself: its public names",
    "recipes/test_builtin.py": "data: the recipes that the package brings",
    "vm/test_inside.py": "tests/vm/inside.py, the guard of tests that take a machine down",
}
"""Tests that are about no single module of `src`, each with what it is about instead."""


def test_each_unit_test_lies_where_its_module_lies() -> None:
    tests = {str(file.relative_to(TESTS)) for file in TESTS.rglob("test_*.py")}
    alone = {
        test for test in tests if not (SOURCE / Path(test).parent / Path(test).name.removeprefix("test_")).is_file()
    }
    assert OF_NO_MODULE.keys() == alone
