"""What a program finds in its environment, on the live kernel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.e2e.conftest import AgentProcess

RunAgent = Callable[..., AgentProcess]


def start_with(victim: Path, **variables: str) -> subprocess.Popen[bytes]:
    """Start a program that waits for input, with these variables."""
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.Popen([victim, "-c", "read line"], stdin=subprocess.PIPE, env=environment)


def test_a_library_from_a_temporary_directory_is_seen_and_an_installed_one_is_not(
    run_agent: RunAgent, victim: Path
) -> None:
    agent = run_agent(None, "--disable", "kind:exec_*")
    padding = {f"X{number}": "x" * 100_000 for number in range(8)}
    with (
        start_with(victim, LD_PRELOAD="/usr/lib/raqib-test-none.so", SECRET="hidden") as harmless,
        start_with(victim, LD_PRELOAD="/tmp/raqib-test-none.so", SECRET="hidden") as seen,
        start_with(victim, **padding, LD_PRELOAD="/tmp/raqib-test-none.so") as padded,
    ):
        agent.read(lambda events: len(agent.of("dynamic_linker_attacks")) >= 2)
        for started in (harmless, seen, padded):
            started.communicate()
    assert 0 == agent.stop()
    events = {event["process"]["pid"]: event for event in agent.of("dynamic_linker_attacks")}
    assert {seen.pid, padded.pid} == events.keys()
    for event in events.values():
        assert "env_vars" == event["event_type"]
        assert ["LD_PRELOAD=/tmp/raqib-test-none.so"] == event["process"]["envs"]


def test_programs_that_end_at_once_are_not_missed(run_agent: RunAgent, tmp_path: Path) -> None:
    agent = run_agent(None, "--disable", "kind:exec_*")
    program = tmp_path / "brief"
    source = tmp_path / "brief.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-static", "-o", program, source], check=True)
    pids = set()
    for _ in range(100):
        with subprocess.Popen([program], env={"LD_PRELOAD": "/tmp/raqib-test-none.so"}) as started:
            pids.add(started.pid)
    agent.read(lambda events: len(agent.of("dynamic_linker_attacks")) >= 100)
    assert 0 == agent.stop()
    assert pids == {event["process"]["pid"] for event in agent.of("dynamic_linker_attacks")}
