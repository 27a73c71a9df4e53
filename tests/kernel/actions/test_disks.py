"""Helpers on disks that are full or read-only, each in a mount namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

Ask = Callable[[str], dict[str, Any]]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    def run(scenario: str) -> dict[str, Any]:
        hook = [sys.executable, "-m", "tests.kernel.actions.hooks.small_disk", scenario, str(tmp_path)]
        unshare = ["unshare", "--mount", "--propagation", "private"]
        result = subprocess.run([*unshare, *hook], cwd=ROOT, capture_output=True, timeout=60, check=False)
        assert 0 == result.returncode, result.stderr.decode()
        answers: dict[str, Any] = json.loads(result.stdout)
        return answers

    return run


def test_full_disk(ask: Ask) -> None:
    answers = ask("full_disk")
    for helper in ("WriteFile", "AppendFile", "CopyFile"):
        decision, value, reason = answers[helper]
        assert ("error", None, True) == (decision, value, reason.endswith("No space left on device")), helper
    # What was there is there still, and nothing half done beside it.
    assert "old" == answers["old"]
    assert ["appended", "old"] == answers["names"]
    decision, _, reason = answers["CollectEvidence 40"]
    assert ("done", True) == (decision, "program is missing: No space left on device" in reason)
    decision, value, reason = answers["CollectEvidence 0"]
    assert ("error", None, True) == (decision, value, "No space left on device" in reason)


def test_few_inodes(ask: Ask) -> None:
    answers = ask("few_inodes")
    decision, _, reason = answers["refused"]
    assert ("error", True) == (decision, "less than 50 inodes left" in reason)
    # The last one made had the directory and the file itself to make.
    assert 48 <= answers["left"] <= 50


def test_full_data_directory(ask: Ask) -> None:
    answers = ask("full_data_directory")
    for helper in ("DataSet", "DataPush"):
        decision, value, reason = answers[helper]
        assert ("error", None, True) == (decision, value, "the data store failed" in reason), helper
    assert ["done", "1", ""] == answers["DataGet"]
    assert ["done", 0, ""] == answers["DataSet afterwards"]
    assert '["before","k"]' == answers["keys"]


def test_read_only(ask: Ask) -> None:
    answers = ask("read_only")
    for helper in ("WriteFile", "WriteFile new", "AppendFile", "CopyFile", "CreateTempDir", "RemoveDir"):
        decision, value, reason = answers[helper]
        assert ("error", None, True) == (decision, value, "Read-only file system" in reason), helper
    assert ["done", "old", ""] == answers["ReadFile"]


def test_across_mounts(ask: Ask) -> None:
    answers = ask("across_mounts")
    for kind in ("bind", "tmpfs"):
        decision, _, reason, beside, precious = answers[kind]
        assert ("refused", True, True, True) == (decision, "expected no mount in it" in reason, beside, precious), kind
    assert ["done", 0, ""] == answers["without"]
