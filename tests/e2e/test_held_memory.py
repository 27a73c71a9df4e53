"""A process that holds its memory's lock, so that nobody can read its environment, stops nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from tests.e2e.conftest import PATIENCE_S, AgentProcess
from tests.fuse import empty_handed_file_system

RunAgent = Callable[..., AgentProcess]

SOURCE = Path(__file__).with_name("hold_memory.c")
NOBODY = 65534


def line(stream: IO[bytes] | None) -> str:
    assert stream is not None
    return stream.readline().decode().strip()


class Holder:
    """The program, by a user without privileges."""

    def __init__(self, program: Path, page: Path, file: Path) -> None:
        who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        self.process = subprocess.Popen(
            [*who, program, page, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"RAQIB_TEST": "held"}
        )

        self.pid = self.process.pid

    def __enter__(self) -> Holder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        with self.process:
            pass

    def tell(self, letter: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(letter.encode())
        self.process.stdin.flush()

    def hold(self, asked: threading.Event) -> None:
        """Take the lock; returns once whoever wants it has to wait."""
        self.tell("r")
        assert asked.wait(PATIENCE_S)
        self.tell("w")
        thread = line(self.process.stdout)
        state = Path(f"/proc/{self.process.pid}/task/{thread}/stat")
        while " D " not in state.read_text():
            assert self.process.poll() is None

    def open_file(self) -> None:
        self.tell("o")
        assert "opened" == line(self.process.stdout)


def start_reading(pid: int) -> threading.Thread:
    """Start somebody else who reads the environment, and who has to wait for it."""

    def read() -> None:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/environ").read_bytes()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that other users can reach."""
    for above in (tmp_path, *tmp_path.parents):
        if above == Path(tempfile.gettempdir()):
            break
        above.chmod(above.stat().st_mode | 0o111)
    return tmp_path


@pytest.fixture
def program(place: Path) -> Path:
    compiled = place / "hold_memory"
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", compiled, SOURCE], check=True)
    return compiled


RECIPES = """
- {{kind: test_kind, name: with_variable, mechanism: file_access, breed: file_access, importance: high,
   bases: [{{base: needle, dir: {place}}}], arbitrary: [{{how: OR, which: pertinent,
     items: [{{what: envs, which: pertinent, pattern: '^RAQIB_TEST='}}]}}]}}
- {{kind: test_kind, name: whatever, mechanism: file_access, breed: file_access, importance: high,
   bases: [{{base: needle, dir: {place}}}]}}
"""


def pids(agent: AgentProcess, name: str) -> set[int]:
    return {event["process"]["pid"] for event in agent.of(name)}


def open_and_stay(needle: Path) -> subprocess.Popen[bytes]:
    """Start a program that opens it and then waits for the end of its input."""
    command = ["sh", "-c", 'exec 3<"$0"; read line', os.fspath(needle)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env={"RAQIB_TEST": "other"})


def test_others_are_told_with_their_environment_meanwhile(run_agent: RunAgent, place: Path, program: Path) -> None:
    needle, page = place / "needle", place / "mounted" / "page"
    needle.touch()
    needle.chmod(0o644)
    page.parent.mkdir()
    agent = run_agent(RECIPES.format(place=place))
    # Not even a kill ends it before the file system has let go of it.
    with contextlib.ExitStack() as ending, empty_handed_file_system(page.parent) as asked:
        holder = ending.enter_context(Holder(program, page, needle))
        holder.hold(asked)
        waiting = start_reading(holder.pid)
        holder.open_file()
        others = []
        # On a busy machine an environment may come too late; then another one's comes.
        while not agent.of("with_variable"):
            with open_and_stay(needle) as other:
                others.append(other.pid)
                agent.read(lambda events: others[-1] in pids(agent, "whatever"))
                other.communicate()
        agent.read(lambda events: holder.pid in pids(agent, "whatever"))
        assert waiting.is_alive()
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()
    assert 0 == agent.stop()
    assert pids(agent, "with_variable") <= set(others)
    assert [["RAQIB_TEST=other"]] == [event["process"]["envs"] for event in agent.of("with_variable")][:1]
    # What is not known of the other is told, with who it is.
    [begins] = [
        event
        for event in agent.of("loss_environments")
        if event["fields"]["loss"]["state"] == "begins" and event["process"]["pid"] not in others
    ]
    assert (holder.pid, NOBODY) == (begins["process"]["pid"], begins["fields"]["loss"]["uid"])
