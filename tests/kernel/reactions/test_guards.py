"""What is never killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raqib.ledger.verification import verify
from raqib.testing import live_process

from .conftest import Host, RunScenario

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("guards") / "data"
    # One shell stays pid 1 of the namespace, another one is the daemon's parent.
    script = f'"{sys.executable}" -m tests.kernel.reactions.hooks.guarded "{directory}"; exit $?'
    unshare = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    result = subprocess.run(
        [*unshare, "sh", "-c", 'sh -c "$1"; exit $?', "sh", script],
        cwd=ROOT,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    found: dict[str, Any] = json.loads(result.stdout)
    found["ledger"] = (directory / "ledger.jsonl").read_text()
    assert verify(directory / "ledger.jsonl").intact
    return found


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("init", "pid 1 is never killed"),
        ("daemon", "is raqib itself"),
        ("ancestor", "is an ancestor of raqib"),
        ("worker", "is a worker of raqib"),
    ],
)
def test_is_refused_with_a_reason_and_ledgered(answers: dict[str, Any], target: str, reason: str) -> None:
    decision, why, outcome = answers[f"{target} current"]
    assert (decision, outcome) == ("refused", "ok")
    assert reason in why
    entries = [json.loads(line) for line in answers["ledger"].splitlines()]
    assert [entry for entry in entries if entry["action"] == "KillCurrent" and reason in entry["reason"]]


@pytest.mark.parametrize("target", ["init", "ancestor", "daemon", "worker"])
def test_is_refused_by_pid_too(answers: dict[str, Any], target: str) -> None:
    assert answers[f"{target} process"][0] == "refused"


def test_heir_of_a_pid_survives(answers: dict[str, Any]) -> None:
    assert answers["reused"] == [True, 1, True]


def test_below_min_pid(run_scenario: RunScenario) -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:

        async def scenario(host: Host) -> None:
            code = f"function process() {{ Info(KillProcess({sleeper.pid}), Errno()) }}"
            await host.run(code, [live_process(sleeper.pid)])

        host = run_scenario(scenario, min_pid=sleeper.pid + 1)
        assert sleeper.poll() is None
        sleeper.kill()
    assert f"-1 pid {sleeper.pid} is below min_pid ({sleeper.pid + 1})" in host.texts
    assert [(entry["action"], entry["decision"]) for entry in host.ledger if entry["action"] != "execution"] == [
        ("KillProcess", "refused")
    ]
