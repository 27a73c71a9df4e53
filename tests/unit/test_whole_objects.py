"""An object is whole once it is made: what its methods set, its constructor has set before."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import raqib

ROOT = Path(raqib.__file__).parent
ROOMS = ("agent", "control", "dns", "events", "host", "matcher", "model", "sensors")


def set_in(method: ast.AST) -> set[str]:
    """Return the attributes of `self` that a method sets."""
    return {
        node.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def half_objects(file: Path) -> Iterator[str]:
    for found in ast.walk(ast.parse(file.read_text())):
        if not isinstance(found, ast.ClassDef):
            continue
        methods = {node.name: node for node in found.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        if "__init__" not in methods:
            continue
        declared = {
            node.target.id
            for node in found.body
            if isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name)
        }
        made = set_in(methods["__init__"]) | declared
        for name, method in methods.items():
            yield from (f"{found.name}.{name} sets {attribute}" for attribute in sorted(set_in(method) - made))


@pytest.mark.parametrize("room", ROOMS)
def test_what_methods_set_the_constructor_has_set(room: str) -> None:
    half = {str(file.relative_to(ROOT)): [*half_objects(file)] for file in sorted((ROOT / room).rglob("*.py"))}
    assert {} == {file: found for file, found in half.items() if found}
