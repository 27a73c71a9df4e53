"""Kills of real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from raqib.host.procfs import TICK_NS, read_stat
from raqib.model.process import ProcessKey
from raqib.model.recipe import Limits
from raqib.testing import live_process, make_recipe
from tests.leaderless import leaderless_process

from .conftest import Host, RunScenario

TWICE = "function process() { Info(KillCurrent(), Errno()); Info(KillCurrent(), Errno()) }"


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_kill_current_kills_and_then_says_gone(run_scenario: RunScenario, victim: subprocess.Popen[bytes]) -> None:
    async def scenario(host: Host) -> None:
        finished = await host.run(TWICE, [live_process(victim.pid)])
        assert [action.value for action in finished.actions] == [0, 1]

    host = run_scenario(scenario)
    assert victim.wait(60) == -signal.SIGKILL
    assert host.texts == ["0 ", f"1 pid {victim.pid} is already gone"]
    kills = [entry for entry in host.ledger if entry["action"] == "KillCurrent"]
    assert [(entry["decision"], entry["result"]) for entry in kills] == [("done", 0), ("done", 1)]
    assert kills[0]["arguments"] == {"pid": victim.pid}


def test_a_zombie_is_gone(run_scenario: RunScenario, victim: subprocess.Popen[bytes]) -> None:
    process = live_process(victim.pid)
    victim.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, victim.pid, os.WEXITED | os.WNOWAIT)

    async def scenario(host: Host) -> None:
        assert (await host.run(TWICE, [process])).actions[0].value == 1

    run_scenario(scenario)


def test_a_process_whose_first_thread_has_ended_is_killed(run_scenario: RunScenario) -> None:
    code = "function process() { Info(HashFile('exe') !== null, KillCurrent()); }"
    with leaderless_process() as running:
        status = read_stat(running.pid)
        assert status is not None
        key = ProcessKey(running.pid, status.start_ticks * TICK_NS)
        process = msgspec.structs.replace(live_process(os.getpid()), key=key)

        async def scenario(host: Host) -> None:
            assert (await host.run(code, [process])).outcome == "ok"

        assert run_scenario(scenario).texts == ["true 0"]
        assert running.wait(60) == -signal.SIGKILL


def test_another_process_of_the_same_pid_survives(run_scenario: RunScenario, victim: subprocess.Popen[bytes]) -> None:
    process = live_process(victim.pid)
    earlier = msgspec.structs.replace(process, key=ProcessKey(victim.pid, process.key.start_ns - 50_000_000))

    async def scenario(host: Host) -> None:
        (action, _) = (await host.run(TWICE, [earlier])).actions
        assert action.value == 1
        assert "another process's" in action.reason

    run_scenario(scenario)
    assert victim.poll() is None


def test_kill_parent(run_scenario: RunScenario) -> None:
    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        ancestry = [live_process(parent.pid), live_process(child)]

        async def scenario(host: Host) -> None:
            finished = await host.run("function process() { KillParent(); KillCurrent() }", ancestry)
            assert [action.value for action in finished.actions] == [0, 0]

        run_scenario(scenario)
        assert parent.wait(60) == -signal.SIGKILL


def test_kill_process_by_pid(run_scenario: RunScenario, victim: subprocess.Popen[bytes]) -> None:
    async def scenario(host: Host) -> None:
        finished = await host.run(f"function process() {{ KillProcess({victim.pid}) }}")
        assert finished.actions[0].value == 0

    run_scenario(scenario, min_pid=1)
    assert victim.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("argument", ["'7'", "undefined", "null", "1.5", "-1", "0", "NaN", "1e300", "{}", "true", ""])
def test_kill_process_takes_pids_only(run_scenario: RunScenario, argument: str) -> None:
    async def scenario(host: Host) -> None:
        (action,) = (await host.run(f"function process() {{ Info(KillProcess({argument})) }}")).actions
        assert action.decision == "error"
        assert "expected" in action.reason

    assert run_scenario(scenario).texts == ["-1"]


def test_dry_run_kills_nothing_and_answers_as_if(run_scenario: RunScenario, victim: subprocess.Popen[bytes]) -> None:
    async def scenario(host: Host) -> None:
        await host.run("function process() { Info(KillCurrent()) }", [live_process(victim.pid)])

    host = run_scenario(scenario, dry_run=True)
    assert host.texts == ["0"]
    assert [(e["action"], e["decision"]) for e in host.ledger if e["result"] == 0] == [("KillCurrent", "would")]
    assert victim.poll() is None


@pytest.mark.parametrize("mode", ["off", "shadow", "alert", "dry_react"])
def test_only_mode_react_acts(run_scenario: RunScenario, victim: subprocess.Popen[bytes], mode: str) -> None:
    async def scenario(host: Host) -> None:
        recipe = make_recipe("function process() { KillCurrent() }", mode=mode)  # type: ignore[arg-type]
        await host.run("", [live_process(victim.pid)], recipe=recipe)

    run_scenario(scenario)
    assert victim.poll() is None


def test_budget(run_scenario: RunScenario) -> None:
    victims = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]

    async def scenario(host: Host) -> None:
        recipe = make_recipe("function process() { KillCurrent() }", limits=Limits(kills_per_minute=2))
        decisions = []
        for victim in victims:
            finished = await host.run("", [live_process(victim.pid)], recipe=recipe)
            decisions.append(finished.actions[0].decision)
        assert decisions == ["done", "done", "refused"]

    try:
        host = run_scenario(scenario)
        assert victims[2].poll() is None
        assert any("budget of 2 kills a minute" in text for text in host.texts)
    finally:
        for victim in victims:
            victim.kill()
            victim.wait()


def test_protected_program_is_not_killed(run_scenario: RunScenario, victim: subprocess.Popen[bytes]) -> None:
    program = str(Path(f"/proc/{victim.pid}/exe").readlink())

    async def scenario(host: Host) -> None:
        (action,) = (await host.run("function process() { KillCurrent() }", [live_process(victim.pid)])).actions
        assert action.decision == "refused"
        assert f"protected program {program}" in action.reason

    run_scenario(scenario, protected_programs=("/nowhere", program))
    assert victim.poll() is None


def test_kill_survives_ledger_failure(run_scenario: RunScenario, victim: subprocess.Popen[bytes]) -> None:
    async def scenario(host: Host) -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        ledger = host.reactions._ledger
        working, ledger._fd = ledger._fd, full
        finished = await host.run(
            "function process() { Info(DataSet('a', 'b'), Errno()); Info(KillCurrent()); Info(DataSet('a', 'b')) }",
            [live_process(victim.pid)],
        )
        # The first one finds out that the ledger cannot be written.
        assert [action.decision for action in finished.actions] == ["done", "done", "refused"]
        ledger._fd = working
        os.close(full)
        finished = await host.run("function process() { DataSet('a', 'b') }")
        assert [action.decision for action in finished.actions] == ["done"]

    host = run_scenario(scenario)
    assert victim.wait(60) == -signal.SIGKILL
    assert list(range(1, len(host.ledger) + 1)) == [entry["seq"] for entry in host.ledger]
    assert "KillCurrent" in {entry["action"] for entry in host.ledger}
