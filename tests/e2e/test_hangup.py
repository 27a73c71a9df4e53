"""SIGHUP, with real terminals: the one that raqib was started on being gone ends it in order, nothing else does."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PATIENCE_S, RAQIB, recipe, start_victim
from tests.terminal import Terminal

IGNORED = "SIGHUP is ignored"
GONE = "the terminal that raqib was started on is gone"


class Case:
    """An agent's command line and what it leaves behind."""

    def __init__(self, directory: Path, cgroup: Path, victim: Path) -> None:
        self.data_dir = directory / "data"
        self.log = directory / "log"
        self.victim = victim
        recipes = directory / "recipes"
        recipes.mkdir()
        where = f"[{{dir: '{victim.parent}', base: {victim.name}}}]"
        (recipes / "kills.yaml").write_text(
            recipe("kills", patterns=where, reaction="function process(data) { KillCurrent(); }")
        )
        self.command = [
            *(str(RAQIB), "run", "--no-builtin", "--recipes", str(recipes), "--data-dir", str(self.data_dir)),
            *("--cgroup", str(cgroup)),
        ]

    @property
    def recording(self) -> Path:
        return self.data_dir.parent / "recording"

    @property
    def record(self) -> list[str]:
        """The command line of a recorder."""
        chosen = self.command[2:5]
        return [str(RAQIB), "record", "--output", str(self.recording), *chosen, *self.command[-2:]]

    @property
    def logging(self) -> list[str]:
        return [*self.command, "--log-file", str(self.log)]

    def status(self) -> dict[str, Any]:
        done = subprocess.run([RAQIB, "status", "--json", "--data-dir", self.data_dir], capture_output=True, check=True)
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def wait_running(self) -> int:
        """Return the agent's pid, once it answers."""
        wait_until((self.data_dir / "control.sock").exists)
        return int(self.status()["pid"])

    def kill_one(self) -> None:
        """Show that the agent acts."""
        with start_victim(self.victim) as started:
            assert -signal.SIGKILL == started.wait(PATIENCE_S)

    def logged(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def head(self) -> dict[str, Any]:
        told = [json.loads(line) for line in self.log.read_text().splitlines()]
        return next(line for line in reversed(told) if line["event"] == "ledger head")

    def last_seq(self) -> int:
        return int(json.loads((self.data_dir / "ledger.jsonl").read_text().splitlines()[-1])["seq"])


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        select.select([], [], [], 0.02)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def case(tmp_path: Path, cgroup: Path, victim: Path) -> Case:
    return Case(tmp_path, cgroup, victim)


def test_a_terminal_that_is_gone_ends_it_in_order(case: Case) -> None:
    with Terminal(case.logging) as terminal:
        terminal.wait_for("ready")
        case.kill_one()
        terminal.wait_for("KillCurrent")
        workers = case.status()["workers"]["pids"]
        assert workers
        terminal.hang_up()
        assert 0 == terminal.process.wait(PATIENCE_S)
    assert [line for line in case.logged() if line.startswith(GONE)]
    assert case.last_seq() == case.head()["seq"] > 0
    wait_until(lambda: all(map(is_gone, workers)))


def test_a_log_on_the_terminal_that_is_gone_ends_nothing_early(case: Case) -> None:
    """What cannot be told any more is not told: no traceback, no status but 0, and the ledger whole."""
    with Terminal(case.command) as terminal:
        terminal.wait_for("ready")
        case.kill_one()
        terminal.wait_for("KillCurrent")
        terminal.hang_up()
        assert 0 == terminal.process.wait(PATIENCE_S)
    verified = subprocess.run([RAQIB, "ledger", "verify", "--data-dir", case.data_dir], check=False)
    assert 0 == verified.returncode


def test_below_a_shell_that_goes_too(case: Case) -> None:
    """The shell leads the session: the kernel tells it, and the foreground when the shell has ended."""
    with Terminal(["bash", "--norc", "-i"]) as terminal:
        terminal.type(" ".join(case.logging) + "\n")
        terminal.wait_for("ready: ")
        pid = case.wait_running()
        case.kill_one()
        terminal.hang_up()
        wait_until(lambda: is_gone(pid))
    assert case.last_seq() == case.head()["seq"] > 0


def test_with_the_terminal_still_there_it_goes_on(case: Case) -> None:
    with Terminal(case.command, columns=100) as terminal:
        terminal.wait_for("ready")
        os.kill(terminal.process.pid, signal.SIGHUP)
        terminal.wait_for(IGNORED)
        case.kill_one()
        terminal.type("\x03")
        assert 0 == terminal.wait()
        assert "Traceback" not in terminal.shown


def test_with_nohup_it_outlives_the_terminal(case: Case) -> None:
    with Terminal(["nohup", *case.logging], cwd=case.data_dir.parent) as terminal:
        pid = case.wait_running()
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: [line for line in case.logged() if line.startswith(IGNORED)])
        terminal.hang_up()
        case.kill_one()
        assert terminal.process.poll() is None
        terminal.process.terminate()
        assert 0 == terminal.process.wait(PATIENCE_S)
    assert not [line for line in case.logged() if line.startswith(GONE)]


def test_in_the_background_it_outlives_a_terminal_that_it_cannot_write_to_any_more(case: Case) -> None:
    """The shell tells it nothing: what it prints fails, which is counted."""
    with Terminal(["bash", "--norc", "-i"]) as terminal:
        terminal.type(" ".join(case.logging) + " & disown\n")
        pid = case.wait_running()
        terminal.hang_up()
        terminal.process.wait(PATIENCE_S)
        case.kill_one()
        wait_until(lambda: case.status()["printers"]["stdout"]["failed"])
        case.kill_one()
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: is_gone(pid))
    assert 1 == len([line for line in case.logged() if line.startswith("printer failed")])
    assert case.last_seq() == case.head()["seq"]


def test_without_any_terminal_it_goes_on(case: Case) -> None:
    with subprocess.Popen(
        case.logging, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as agent:
        try:
            case.wait_running()
            agent.send_signal(signal.SIGHUP)
            wait_until(lambda: [line for line in case.logged() if line.startswith(IGNORED)])
            case.kill_one()
            agent.terminate()
            assert 0 == agent.wait(PATIENCE_S)
        finally:
            agent.kill()


def record_one(case: Case) -> None:
    with start_victim(case.victim) as started:
        started.communicate(b"\n", PATIENCE_S)


def recorded(case: Case) -> int:
    _, *lines = map(json.loads, case.recording.read_text().splitlines())
    return len([line for line in lines if str(case.victim) in json.dumps(line)])


def test_a_recorder_ends_in_order_with_its_terminal(case: Case) -> None:
    with Terminal(case.record) as terminal:
        terminal.wait_for("ready")
        record_one(case)
        terminal.hang_up()
        assert 0 == terminal.process.wait(PATIENCE_S)
    assert recorded(case)


def test_a_recorder_with_its_terminal_still_there_goes_on(case: Case) -> None:
    with Terminal(case.record, columns=100) as terminal:
        terminal.wait_for("ready")
        os.kill(terminal.process.pid, signal.SIGHUP)
        terminal.wait_for(IGNORED)
        record_one(case)
        terminal.type("\x03")
        assert 0 == terminal.wait()
        assert "written to" in terminal.shown
    assert recorded(case)
