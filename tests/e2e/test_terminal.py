"""Every command that prints for people, in real terminals of several kinds."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PATIENCE_S, RAQIB, recipe, start_victim
from tests.terminal import Terminal, environment

KINDS = {
    "dumb": {"TERM": "dumb"},
    "xterm": {"TERM": "xterm"},
    "256 colours": {"TERM": "xterm-256color"},
    "tmux": {"TERM": "tmux-256color"},
    "true colour": {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    "NO_COLOR": {"TERM": "xterm-256color", "NO_COLOR": "1"},
    "C locale": {"TERM": "xterm", "LC_ALL": "C"},
    "latin-1": {"TERM": "xterm", "PYTHONIOENCODING": "latin-1"},
    "ascii": {"TERM": "xterm", "PYTHONIOENCODING": "ascii:strict"},
}
KINDS_OF_TERMINALS = pytest.mark.parametrize("kind", KINDS)
SOME_TERMINALS = pytest.mark.parametrize("kind", ["dumb", "256 colours", "NO_COLOR", "ascii"])


def check_escapes(kind: str, written: bytes) -> None:
    plain = kind in ("dumb", "NO_COLOR")
    assert plain == (b"\x1b" not in written), written
    assert b"Traceback" not in written
    if kind in ("C locale", "ascii"):
        assert written.isascii()


class Case:
    """A recipe for a program of the test's own."""

    def __init__(self, directory: Path, cgroup: Path, victim: Path) -> None:
        self.victim = victim
        self.directory = directory
        self.recipes = directory / "recipes"
        self.recipes.mkdir()
        where = f"[{{dir: '{victim.parent}', base: {victim.name}}}]"
        reaction = "function process(data) { Info('über'); KillCurrent(); DataIncr('seen'); }"
        (self.recipes / "kills.yaml").write_text(recipe("kills", patterns=where, reaction=reaction))
        self.own = ["--no-builtin", "--recipes", str(self.recipes)]
        self.data = ["--data-dir", str(directory / "data")]
        self.run = [str(RAQIB), "run", "--each", *self.own, *self.data, "--cgroup", str(cgroup)]

    def kill_one(self) -> int:
        with start_victim(self.victim) as started:
            assert -signal.SIGKILL == started.wait(PATIENCE_S)
        return started.pid


@pytest.fixture
def case(tmp_path: Path, cgroup: Path, victim: Path) -> Case:
    return Case(tmp_path, cgroup, victim)


@SOME_TERMINALS
def test_demo(kind: str) -> None:
    with Terminal([RAQIB, "demo"], env=environment(**KINDS[kind])) as terminal:
        assert 0 == terminal.wait(), terminal.shown
        check_escapes(kind, terminal.written)
        for part in ("demo_miner", "xmrig", "done     KillCurrent pid ", "wrote    /", "victim   killed by signal 9"):
            assert part in terminal.shown
        assert "ledger head" not in terminal.shown


@SOME_TERMINALS
def test_run(kind: str, case: Case) -> None:
    with Terminal(case.run, env=environment(**KINDS[kind])) as terminal:
        terminal.wait_for("ready: 1 recipe")
        pid = case.kill_one()
        shown = terminal.wait_for("done     DataIncr seen ")
        assert f"done     KillCurrent pid {pid}  +" in shown
        assert "ledger head" not in shown
        terminal.type("\x03")
        assert 0 == terminal.wait()
        check_escapes(kind, terminal.written)
        assert 1 == terminal.shown.count("ledger head 3:")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recording of a shell that starts, and the recipe for it."""
    directory = tmp_path_factory.mktemp("recorded")
    program, recipes, recording = directory / "victim", directory / "recipes.yaml", directory / "recording.jsonl"
    program.write_bytes(Path("/bin/sh").resolve().read_bytes())
    program.chmod(0o755)
    where = f"[{{dir: '{directory}', base: victim}}]"
    recipes.write_text(recipe("kills", patterns=where, reaction="function process(data) { Info('ü'); KillCurrent(); }"))
    command: list[str | Path] = [RAQIB, "record", "-o", recording, "--no-builtin", "--recipes", recipes]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as recorder:
        assert recorder.stderr is not None
        assert recorder.stderr.readline().startswith("ready")
        subprocess.run([program, "-c", "true"], check=True)
        recorder.send_signal(signal.SIGTERM)
        assert "1 observation written" in recorder.communicate(timeout=PATIENCE_S)[1]
    return recording, recipes


@KINDS_OF_TERMINALS
def test_replay(kind: str, recorded: tuple[Path, Path]) -> None:
    recording, recipes = recorded
    command: list[str | Path] = [RAQIB, "replay", recording, "--no-builtin", "--recipes", recipes]
    with Terminal(command, env=environment(**KINDS[kind])) as terminal:
        assert 0 == terminal.wait(), terminal.shown
        check_escapes(kind, terminal.written)
        assert "would    KillCurrent pid " in terminal.shown
        assert "1 helper call, none of them done" in terminal.shown


@pytest.fixture(scope="module")
def logged(recorded: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An event log with the event of the recording, and its UUID."""
    recording, recipes = recorded
    command: list[str | Path] = [RAQIB, "replay", recording, "--no-builtin", "--recipes", recipes, "--json"]
    shown = subprocess.run(command, capture_output=True, check=True).stdout
    event: dict[str, Any] = json.loads(shown.splitlines()[0])["event"]
    log = tmp_path_factory.mktemp("logged") / "events.jsonl"
    log.write_text(json.dumps(event) + "\n")
    return log, event["uuid"]


@KINDS_OF_TERMINALS
def test_explain(kind: str, recorded: tuple[Path, Path], logged: tuple[Path, str]) -> None:
    log, uuid = logged
    command: list[str | Path] = [
        RAQIB,
        "explain",
        uuid,
        "--log",
        log,
        "--data-dir",
        log.parent,
        "--no-builtin",
        "--recipes",
        recorded[1],
    ]
    with Terminal(command, env=environment(**KINDS[kind])) as terminal:
        assert 0 == terminal.wait(), terminal.shown
        check_escapes(kind, terminal.written)
        assert uuid.rpartition("-")[2] in terminal.shown
        assert "why:" in terminal.shown


def test_colours_in_a_pipe_if_wished(recorded: tuple[Path, Path]) -> None:
    command: list[str | Path] = [RAQIB, "replay", recorded[0], "--no-builtin", "--recipes", recorded[1]]
    forced = {"TERM": "xterm-256color", "FORCE_COLOR": "1"}
    for variables, coloured in ((forced, True), ({**forced, "NO_COLOR": "1"}, False), ({}, False)):
        done = subprocess.run(command, env=environment(**variables), capture_output=True, check=True)
        assert coloured == (b"\x1b" in done.stdout)


def test_a_window_that_is_made_narrow(case: Case) -> None:
    with Terminal(case.run, columns=200, env=environment(TERM="dumb")) as terminal:
        terminal.wait_for("ready")
        case.kill_one()
        wide = terminal.wait_for("DataIncr")
        assert max(map(len, wide.splitlines())) > 80
        before = len(terminal.written)
        terminal.resize(40)
        case.kill_one()
        terminal.wait_until(lambda: terminal.written.count(b"DataIncr") == 2)
        events = terminal.written[before:].decode().splitlines()
        assert [] == [line for line in events if len(line) > 40 and "[info" not in line]
        terminal.type("\x03")
        assert 0 == terminal.wait()


def test_ctrl_c_again_and_again(case: Case) -> None:
    with Terminal(case.run) as terminal:
        terminal.wait_for("ready")
        terminal.type("\x03\x03")
        terminal.type("\x03")
        terminal.wait()
        assert "Traceback" not in terminal.shown
        assert terminal.process.returncode in (0, 130)


def test_ctrl_c_before_anything_runs() -> None:
    """Python itself begins before raqib can do anything about it; then modules are loaded for a while."""
    code = "import raqib.cli; print('began', flush=True); raqib.cli.main()"
    with Terminal([sys.executable, "-c", code, "demo"]) as terminal:
        terminal.wait_for("began")
        terminal.type("\x03")
        assert terminal.wait() in (1, 130)
        assert "Traceback" not in terminal.shown


def test_stopped_and_brought_back(case: Case) -> None:
    with Terminal(["bash", "--norc", "-i"]) as terminal:
        terminal.type(" ".join(case.run) + "\n")
        terminal.wait_for("ready: ")
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        terminal.type("fg\n")
        terminal.wait_for("raqib run", count=2)
        case.kill_one()
        terminal.wait_for("done     KillCurrent")
        terminal.type("\x03")
        terminal.type("echo status $?.\n")
        terminal.wait_for("status 0.")


def test_a_typing_error_is_told_in_colours_that_the_terminal_has(case: Case) -> None:
    for arguments in (["rnu"], ["run", "--recipse", "x"], ["explain"], ["explain", "x", *case.data]):
        with Terminal([RAQIB, *arguments], env=environment(TERM="dumb")) as terminal:
            assert terminal.wait() in (1, 2)
            assert b"\x1b" not in terminal.written
            assert "Traceback" not in terminal.shown
        with Terminal([RAQIB, *arguments]) as terminal:
            assert terminal.wait() in (1, 2)
            assert "Traceback" not in terminal.shown
