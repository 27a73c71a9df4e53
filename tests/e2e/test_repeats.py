"""What is alike is told together, reacted to each time, and counted exactly; what is new behind it is told at once."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.conftest import PATIENCE_S, RAQIB, AgentProcess, recipe

RunAgent = Callable[..., AgentProcess]

MANY = 5000
AT_ONCE = 250
"""So many wait at most: the reactions' own line holds some four times as many."""


def status(agent: AgentProcess) -> dict[str, Any]:
    asked = subprocess.run(
        [RAQIB, "status", "--data-dir", agent.data_dir, "--json"], check=True, capture_output=True, timeout=PATIENCE_S
    )
    answer: dict[str, Any] = json.loads(asked.stdout)
    return answer


def await_done(agent: AgentProcess, count: int) -> None:
    """Wait until so many reactions are over, and all other ones too."""
    deadline = time.monotonic() + PATIENCE_S
    while (done := status(agent)["reactions"])["done"] < count:
        assert time.monotonic() < deadline, done
        agent.read_for(0.05)


def test_five_thousand_alike_are_few_lines_five_thousand_reactions_and_exact_counts(
    run_agent: RunAgent, tmp_path: Path, victim: Path
) -> None:
    where = f"[{{dir: '{tmp_path}', base: {victim.name}}}]"
    reaction = "function process(data) { DataIncr('runs'); }"
    agent = run_agent(recipe("alike", patterns=where, reaction=reaction), each=False)
    began = time.monotonic()
    for number in range(0, MANY, AT_ONCE):
        subprocess.run(["sh", "-c", f"for i in $(seq {AT_ONCE}); do {victim} -c :; done"], check=True)
        await_done(agent, number + AT_ONCE)
    attack = subprocess.run([victim, "-c", ": the attack"], check=True)
    agent.read(lambda events: any("the attack" in str(event.get("process", {}).get("cmd")) for event in events))
    await_done(agent, MANY + 1)
    assert 0 == attack.returncode
    took_s = time.monotonic() - began
    assert 0 == agent.stop()
    printed, repeated = agent.of("alike", "execution"), agent.of("alike", "repeated")
    # The attack is printed at once, and so is what this test starts by another parent.
    assert 1 == sum("the attack" in event["process"]["cmd"] for event in printed)
    assert MANY + 1 == len(printed) + sum(event["count"] for event in repeated)
    assert len(printed) <= 3
    # At most: after 10 s, a minute, every ten minutes, and what was still counted at the end.
    assert len(repeated) <= 4 + took_s / 600
    assert len(agent.of("alike")) <= 20
    runs = subprocess.run(
        [RAQIB, "store", "get", "alike", "runs", "--data-dir", agent.data_dir],
        check=True,
        capture_output=True,
        text=True,
    )
    assert str(MANY + 1) == json.loads(runs.stdout)
