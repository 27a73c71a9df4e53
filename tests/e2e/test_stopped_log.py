"""raqib's own log has nobody that takes it: what it sees and does goes on all the same."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE_S, RAQIB, recipe, start_victim
from tests.terminal import Terminal

TALKS_AND_KILLS = "function process(data) { Info('talks'); KillCurrent(); }"


@pytest.fixture
def command(tmp_path: Path, cgroup: Path, victim: Path) -> list[str]:
    (tmp_path / "recipes").mkdir()
    where = f"[{{dir: '{victim.parent}', base: {victim.name}}}]"
    (tmp_path / "recipes" / "kills.yaml").write_text(recipe("kills", patterns=where, reaction=TALKS_AND_KILLS))
    return [
        *(str(RAQIB), "run", "--no-builtin", "--recipes", str(tmp_path / "recipes")),
        *("--data-dir", str(tmp_path / "data"), "--cgroup", str(cgroup)),
    ]


def kill_some(victim: Path, count: int) -> None:
    for _ in range(count):
        with start_victim(victim) as started:
            assert -signal.SIGKILL == started.wait(PATIENCE_S)


def test_a_stopped_terminal_stops_nothing_else(command: list[str], victim: Path) -> None:
    """Ctrl-S, then Ctrl-Q."""
    with Terminal(command) as terminal:
        terminal.wait_for("ready")
        terminal.type("\x13")
        kill_some(victim, 3)
        assert "talks" not in terminal.shown
        terminal.type("\x11")
        terminal.wait_for("talks", count=3)
        terminal.type("\x03")
        assert 0 == terminal.wait()


def test_it_ends_with_its_terminal_stopped(command: list[str], victim: Path) -> None:
    with Terminal(command) as terminal:
        terminal.wait_for("ready")
        terminal.type("\x13")
        kill_some(victim, 1)
        terminal.process.terminate()
        assert 0 == terminal.process.wait(PATIENCE_S)


def test_a_reader_that_does_not_read(command: list[str], victim: Path, tmp_path: Path) -> None:
    """A pipe that is full; what was logged is in it once it is read."""
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(reader, b"\n" * 4096)
    try:
        with subprocess.Popen([*command, "--log-file", fifo], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
            try:
                assert run.stderr is not None
                assert b"ready" in run.stderr.readline()
                kill_some(victim, 3)
                read, deadline = b"", time.monotonic() + PATIENCE_S
                while read.count(b"talks") < 3 and time.monotonic() < deadline:
                    if select.select([reader], [], [], 1)[0]:
                        read += os.read(reader, 1 << 16)
                run.terminate()
                assert 0 == run.wait(PATIENCE_S)
            finally:
                run.kill()
    finally:
        os.close(reader)
    lines = [json.loads(line) for line in read.splitlines() if line]
    assert 3 == len([line for line in lines if line["event"] == "talks"])
