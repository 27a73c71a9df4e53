"""Killing the agent at any moment leaves nothing behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE_S, RAQIB, AgentProcess, recipe, start_victim


def programs() -> set[int]:
    shown = subprocess.run(["bpftool", "prog", "show", "-j"], capture_output=True, check=True).stdout
    return {program["id"] for program in json.loads(shown)}


def children(pid: int) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == pid:
                found.add(int(entry.name))
    return found


def await_(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"expected {what}"
        select.select([], [], [], 0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def test_sigkill_while_it_runs_and_a_restart(
    run_agent: Callable[..., AgentProcess], victim: Path, tmp_path: Path
) -> None:
    before = programs()
    text = recipe(
        "kills",
        patterns=f"[{{dir: '{tmp_path}', base: victim}}]",
        reaction="function process(data) { DataIncr('n'); KillCurrent(); while (data.process.args.length > 3) {} }",
    )
    agent = run_agent(text)
    workers = children(agent.process.pid)
    assert workers
    attached = programs() - before
    assert attached
    with start_victim(victim) as started:
        assert -signal.SIGKILL == started.wait(60)
    agent.process.kill()
    assert -signal.SIGKILL == agent.process.wait()
    await_(lambda: not any(alive(pid) for pid in workers), "no worker")
    await_(lambda: not attached & programs(), "no program")

    again = run_agent(text)
    attached = programs() - before
    with start_victim(victim) as started:
        assert -signal.SIGKILL == started.wait(60)
        again.read(lambda events: bool(again.of("kills", "outcome")))
    assert 0 == again.stop()
    counted = again.of("kills", "outcome")[0]["fields"]["reactions"][0]["actions"][0]
    assert ("DataIncr", 2) == (counted["action"], counted["value"])
    await_(lambda: not attached & programs(), "no program")


@pytest.mark.parametrize("after_s", [0.2, 0.5, 0.8, 1.1, 1.4])
def test_sigkill_while_it_starts(after_s: float, tmp_path: Path) -> None:
    before = programs()
    with subprocess.Popen(
        [RAQIB, "run", "--no-builtin", "--data-dir", tmp_path / "data"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as started:
        ended = select.select([os.pidfd_open(started.pid)], [], [], after_s)[0]
        assert not ended
        workers = children(started.pid)
        attached = programs() - before
        started.kill()
        started.wait()
    await_(lambda: not any(alive(pid) for pid in workers), "no worker")
    await_(lambda: not attached & programs(), "no program")
