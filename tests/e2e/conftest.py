"""Runs the installed command as a user would, and awaits what it says."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from raqib.model.compact import USUAL_BYTES
from tests.cgroups import new_cgroup

RAQIB = Path(sys.executable).with_name("raqib")
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/event.schema.json").read_text())
PATIENCE_S = 100.0

Event = dict[str, Any]


class AgentProcess:
    """A running `raqib run`; every event that it prints is checked against the schema, and its size."""

    def __init__(
        self, directory: Path, number: int, cgroup: Path | None, arguments: list[str], below: Sequence[str] = ()
    ) -> None:
        """`below` is the beginning of a command line that runs the rest of it."""
        self.directory = directory
        self.cgroup = cgroup
        self.data_dir = directory / "data"
        self.log = directory / f"raqib{number}.log"
        self.stderr = directory / f"stderr{number}"
        paths: list[str | Path] = ["--data-dir", self.data_dir, "--log-file", self.log]
        paths += ["--cgroup", cgroup] if cgroup is not None else []
        with self.stderr.open("wb") as errors:
            self.process = subprocess.Popen(
                [*below, RAQIB, "run", "--raw", *paths, *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.events: list[Event] = []
        self.validates = True
        """Whether events are checked against the schema, which takes longer than making them."""
        self.full = False
        """Whether it was told to print all of an event."""
        self.most_bytes = USUAL_BYTES
        """What an event may take; for hostile ones, set it higher."""
        self._buffer = b""

    def wait_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while "ready: " not in self.stderr.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the agent did not become ready: {self.stderr.read_text()}")
            select.select([], [], [], 0.02)

    def read(self, until: Callable[[list[Event]], bool], timeout_s: float = PATIENCE_S) -> list[Event]:
        """Read events until the condition holds for all of them; fails if it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not until(self.events):
            if not self._read_some(max(0.0, deadline - time.monotonic())):
                pytest.fail(f"expected more events, got {json.dumps(self.events)[:4000]}; log: {self.logged()[-4000:]}")
        return self.events

    def read_lines(self, count: int, timeout_s: float = PATIENCE_S) -> None:
        """Read so many lines before a look at any of them: parsing large events takes longer than making them."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout_s
        chunks = [self._buffer]
        read = 0
        while read < count:
            if not select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                pytest.fail(f"expected {count} lines, got {read}; log: {self.logged()[-4000:]}")
            chunks.append(os.read(self.process.stdout.fileno(), 1 << 20))
            read += chunks[-1].count(b"\n")
        self._take(b"".join(chunks))

    def read_for(self, duration_s: float) -> None:
        """Read what comes in a time."""
        deadline = time.monotonic() + duration_s
        while (left := deadline - time.monotonic()) > 0:
            self._read_some(left)
        assert self.process.poll() is None

    def _read_some(self, timeout_s: float) -> bool:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], timeout_s)[0]:
            return False
        chunk = os.read(self.process.stdout.fileno(), 1 << 20)
        self._take(self._buffer + chunk)
        return bool(chunk)

    def _take(self, text: bytes) -> None:
        *lines, self._buffer = text.split(b"\n")
        for line in lines:
            event = json.loads(line)
            if self.validates:
                Draft202012Validator(SCHEMA).validate(event)
            if not self.full:
                assert len(line) <= self.most_bytes, (len(line), line[:1000])
                assert "cut" in event
                assert "base" not in event
            self.events.append(event)

    def of(self, name: str, event_type: str | None = None) -> list[Event]:
        return [
            event
            for event in self.events
            if event["metadata"]["name"] == name and event_type in (None, event["event_type"])
        ]

    def wait_logged(self, text: str) -> None:
        """Wait until the log says something, and read events meanwhile."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.logged():
            assert time.monotonic() < deadline, f"expected {text!r} in the log, found {self.logged()[-4000:]}"
            self._read_some(0.02)

    def logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def ledger(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.data_dir / "ledger.jsonl").read_text().splitlines()]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal and read what it still says; return its exit status."""
        self.process.send_signal(number)
        while self._read_some(PATIENCE_S):
            pass
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """The cgroup whose network the agents see."""
    with new_cgroup("e2e") as made:
        yield made


@pytest.fixture
def run_agent(tmp_path: Path, cgroup: Path) -> Iterator[Callable[..., AgentProcess]]:
    started: list[AgentProcess] = []

    def run(
        recipes: str | None = None,
        *arguments: str,
        cgroup: Path | None = cgroup,
        below: Sequence[str] = (),
        each: bool = True,
    ) -> AgentProcess:
        # Most tests do the same again and again, and look at each.
        options = [*arguments, *(["--each"] if each else [])]
        if recipes is not None:
            directory = tmp_path / "recipes"
            directory.mkdir(exist_ok=True)
            (directory / "test.yaml").write_text(textwrap.dedent(recipes))
            options += ["--no-builtin", "--recipes", str(directory)]
        agent = AgentProcess(tmp_path, len(started), cgroup, options, below)
        started.append(agent)
        agent.wait_ready()
        return agent

    yield run
    for agent in started:
        if agent.process.poll() is None:
            agent.process.kill()
        agent.process.wait()
        if agent.process.stdout is not None:
            agent.process.stdout.close()


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A harmless program of the test's own: a shell under another name."""
    program = tmp_path / "victim"
    shutil.copy(Path("/bin/sh").resolve(), program)
    return program


def start_victim(program: Path) -> subprocess.Popen[bytes]:
    """Start it; it waits for input until it is killed or its standard input closed."""
    return subprocess.Popen([program, "-c", "read line"], stdin=subprocess.PIPE)


def recipe(name: str, *, patterns: str, reaction: str = "", **fields: str) -> str:
    """Return one recipe; `patterns` is the YAML of its bases, `reaction` JavaScript."""
    fields = {"mechanism": "execution", "importance": "high", **fields}
    fields.setdefault("breed", fields["mechanism"])
    lines = [
        "- kind: test_kind",
        f"  name: {name}",
        '  version: "1.0"',
        "  description: of a test",
        "  tactic: impact",
        "  technique: resource_hijacking",
        *(f"  {key}: {value}" for key, value in fields.items()),
        f"  bases: {patterns}",
    ]
    if reaction:
        lines += ["  reactions:", "    - format: js", "      code: |"]
        lines += ["        " + line for line in textwrap.dedent(reaction).strip().splitlines()]
    return "\n".join(lines) + "\n"
