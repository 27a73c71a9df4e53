"""What a command imports decides how long it takes to be there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from raqib.cli.table import COMMANDS

_TELL = """
import json, sys
from raqib.cli import main
sys.argv = ["raqib", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""

NOT_FOR_HELP = {"asyncio", "cffi", "dns", "httpx", "jsrun", "msgspec", "pydantic", "re2", "rich", "structlog", "yaml"}
NOT_FOR_A_QUESTION = {"asyncio", "cffi", "dns", "httpx", "jsrun", "pydantic", "rich", "structlog"}
"""What a command may not import that only asks a running agent."""


def imported_by(*arguments: str | Path) -> set[str]:
    shown = subprocess.run([sys.executable, "-c", _TELL, *arguments], capture_output=True, text=True, check=True)
    return set(json.loads(shown.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [(), ("--help",), ("--version",), ("help",), ("no-such-command",)])
def test_help_and_version_import_nothing_that_they_do_not_need(arguments: tuple[str, ...]) -> None:
    modules = imported_by(*arguments)
    assert set() == modules & NOT_FOR_HELP
    homes = {f"raqib.cli.{command.module}" for command in COMMANDS.values()}
    assert set() == modules & homes


@pytest.mark.parametrize("command", ["status", "arm", "disarm"])
def test_a_question_to_the_agent_imports_no_agent(command: str, tmp_path: Path) -> None:
    modules = imported_by(command, "--help")
    assert set() == modules & NOT_FOR_A_QUESTION
    assert "raqib.agent.agent" not in modules


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_status_imports_no_agent_also_where_none_runs(arguments: tuple[str, ...], tmp_path: Path) -> None:
    modules = imported_by("status", "--data-dir", tmp_path, *arguments)
    assert set() == modules & NOT_FOR_A_QUESTION
    # The directory is named, so nobody reads a configuration.
    assert set() == modules & {"raqib.agent.agent", "raqib.config.config", "yaml"}
    with_configuration = imported_by("status", *arguments)
    assert set() == with_configuration & NOT_FOR_A_QUESTION
