"""Whoever floods blinds nobody: what others do is told, and in time."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import flooding
from tests.e2e.conftest import AgentProcess, recipe

NEEDLES = 200
PATIENCE_S = 90.0


def run(run_agent: Callable[..., AgentProcess], tmp_path: Path) -> tuple[AgentProcess, Path]:
    """Start the agent with the built-in recipes and one for a program of the test's own."""
    directory = tmp_path / "own"
    directory.mkdir()
    program = tmp_path / "needle"
    shutil.copy(Path("/bin/true").resolve(), program)
    (directory / "needle.yaml").write_text(recipe("needle", patterns=f"[{{dir: '{tmp_path}', base: needle}}]"))
    return run_agent(None, "--recipes", str(directory)), program


def needles(agent: AgentProcess, program: Path, count: int = NEEDLES) -> None:
    """Run it so often; each must be told."""
    before = len(agent.of("needle"))
    pids = []
    for _ in range(count):
        with subprocess.Popen([program]) as started:
            pids.append(started.pid)
    agent.read(lambda events: len(agent.of("needle")) >= before + count, PATIENCE_S)
    assert sorted(pids) == sorted(event["process"]["pid"] for event in agent.of("needle")[before:])


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(flooding.ONE_PROCESS, id="one process"),
        pytest.param(flooding.SHORT_PROCESSES, id="short processes"),
        pytest.param(flooding.SUBORDINATE_USERS, id="subordinate users"),
    ],
)
def test_ever_new_names_of_another_user(run_agent: Callable[..., AgentProcess], tmp_path: Path, script: str) -> None:
    agent, program = run(run_agent, tmp_path)
    with flooding.flood(script, number=2):
        agent.wait_logged("records were late")
        needles(agent, program)
    assert 0 == agent.stop()
