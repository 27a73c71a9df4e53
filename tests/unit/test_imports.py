"""Dependencies between the stages point one way."""

from __future__ import annotations

import ast
from pathlib import Path

import raqib

ROOT = Path(raqib.__file__).parent

ALLOWED = {
    "model": set(),
    "kernel": {"model"},
    "sensors": {"kernel", "model"},
    "recipes": {"model"},
    "matcher": {"recipes", "model"},
    "context": {"model"},
    "printers": {"model"},
    "actions": {"model"},
    "reactions": {"actions", "model"},
    "netpolicy": {"kernel", "recipes", "model"},
}
"""What each stage may import, beside itself and `raqib.errors`; `agent` wires all of them and `cli` calls it."""

EVERYBODY_MAY = {"errors", "__version__"}


def imported_stages(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        modules = []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [f"raqib.{alias.name}" for alias in node.names] if node.module == "raqib" else [node.module]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        found |= {module.split(".")[1] for module in modules if module.startswith("raqib.")}
    return found - EVERYBODY_MAY


def test_each_stage_imports_only_what_it_may() -> None:
    wrong = {
        str(file.relative_to(ROOT)): sorted(beyond)
        for stage, allowed in ALLOWED.items()
        for file in (ROOT / stage).rglob("*.py")
        if (beyond := imported_stages(file) - allowed - {stage})
    }
    assert {} == wrong


def test_every_stage_is_in_the_table() -> None:
    stages = {folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").exists()}
    assert {*ALLOWED, "agent", "cli"} == stages


def test_only_the_kernel_stage_talks_to_libbpf() -> None:
    users = {file.relative_to(ROOT).parts[0] for file in ROOT.rglob("*.py") if "import cffi" in file.read_text()}
    assert {"kernel"} == users
