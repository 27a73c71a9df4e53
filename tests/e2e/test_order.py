"""An event is printed before its outcome, always, by every printer."""

from __future__ import annotations

import fcntl
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.conftest import AgentProcess, recipe

RunAgent = Callable[..., AgentProcess]

RUNS = 25


def shell_recipe(name: str, patterns: str, importance: str = "high") -> str:
    return recipe(name, patterns=patterns, importance=importance) + (
        "  reactions:\n    - format: shell\n      code: 'true'\n    - format: shell\n      code: 'false'\n"
    )


def outcomes_without_event(events: list[dict[str, Any]]) -> list[str]:
    """Return the uuids of the outcomes that no event of theirs stands before."""
    told: set[str] = set()
    early = []
    for event in events:
        if event["event_type"] != "outcome":
            told.add(event["uuid"])
        elif event["uuid"] not in told:
            early.append(event["uuid"])
    return early


def test_what_is_refused_at_once_is_told_after_its_event(run_agent: RunAgent, victim: Path, tmp_path: Path) -> None:
    """Shell reactions are off: they are refused before any worker or printer could have done anything."""
    where = f"[{{dir: '{tmp_path}', base: victim}}]"
    names = [f"shell{number}" for number in range(3)]
    log = tmp_path / "events.jsonl"
    config = tmp_path / "config.yaml"
    config.write_text(f"printers: {{enabled: [stdout, varlog], varlog_path: {log}}}\n")
    config.chmod(0o600)
    agent = run_agent("".join(shell_recipe(name, where) for name in names), "--config", str(config))
    for _ in range(RUNS):
        subprocess.run([victim, "-c", "true"], check=True)
    agent.read(lambda events: all(len(agent.of(name, "outcome")) == RUNS for name in names))
    assert 0 == agent.stop()
    assert [] == outcomes_without_event(agent.events)
    written = [json.loads(line) for line in log.read_text().splitlines()]
    assert RUNS * len(names) == sum(event["event_type"] == "outcome" for event in written)
    assert [] == outcomes_without_event(written)


def test_what_is_dropped_and_a_printer_that_is_late_keep_the_order(
    run_agent: RunAgent, victim: Path, tmp_path: Path
) -> None:
    """One execution may wait at a time: most are dropped, some by those that come later. Nobody reads stdout."""
    where = f"[{{dir: '{tmp_path}', base: victim}}]"
    slow = "function process(data) { const end = Date.now() + 20; while (Date.now() < end) {} }"
    names = {f"slow{number}": importance for number, importance in enumerate(("low", "medium", "high", "critical"))}
    log = tmp_path / "events.jsonl"
    config = tmp_path / "config.yaml"
    config.write_text(
        f"printers: {{enabled: [stdout, varlog], varlog_path: {log}}}\nreactions: {{max_waiting: 1, workers: 1}}\n"
    )
    config.chmod(0o600)
    agent = run_agent(
        "".join(recipe(name, patterns=where, reaction=slow, importance=value) for name, value in names.items()),
        *("--config", str(config)),
    )
    assert agent.process.stdout is not None
    fcntl.fcntl(agent.process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    for _ in range(RUNS):
        subprocess.run([victim, "-c", "true"], check=True)
    agent.read(lambda events: all(len(agent.of(name, "outcome")) == RUNS for name in names))
    assert 0 == agent.stop()
    written = [json.loads(line) for line in log.read_text().splitlines()]
    for events in (agent.events, written):
        told = [event for event in events if event["event_type"] == "outcome"]
        assert "dropped" in [event["fields"]["reactions"][0]["outcome"] for event in told]
        assert [] == outcomes_without_event(events)
