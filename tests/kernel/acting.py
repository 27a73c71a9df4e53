"""Drives `act`, and collects what the sensor saw of it."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from raqib.model.actions import ALL_ACTIONS, NO_ACTIONS, FileAction
from raqib.model.observation import FileObservation
from raqib.model.process import ProcessKey
from raqib.sensors.files import FileSensor, Hint, Interests

AT_FDCWD = -100
DEADLINE_S = 100.0

Argument = str | bytes | int | Path
Call = Sequence[Argument]


def text(value: str | bytes | Path) -> bytes:
    """Return an argument of `act` that is a text."""
    return b"s:" + os.fsencode(value)


def argv(*arguments: str | bytes | Path) -> list[bytes]:
    """Return an argument of `act` that is a list of texts; the address of an empty environment follows."""
    return [b"argv:%d" % len(arguments), *(os.fsencode(argument) for argument in arguments), b"env"]


def arguments_of(calls: Sequence[Call]) -> list[bytes]:
    """Return the command line of `act`: a Path is a name, a str stands as it is."""
    line: list[bytes] = []
    for call in calls:
        for argument in call:
            line.append(text(argument) if isinstance(argument, Path) else os.fsencode(str(argument)))
            if isinstance(argument, bytes):
                line[-1] = argument
        line.append(b",")
    return line


def below(directory: Path, actions: FileAction = ALL_ACTIONS, residual: FileAction = NO_ACTIONS) -> Interests:
    """Return interests in what lies below a directory, and in nothing else."""
    prefix = os.fsencode(directory)

    def interest(name: bytes) -> FileAction:
        return actions if name.startswith(prefix + b"/") else NO_ACTIONS

    return Interests(actions, residual, [Hint("prefix", prefix, actions)], interest)


class Watch:
    """A sensor, and what it saw under the present interests."""

    def __init__(self, program: Path, sizes: dict[str, int] | None = None) -> None:
        self.program = program
        self.seen: list[FileObservation] = []
        self.sensor = FileSensor(sizes)
        self.directory = Path("/")
        self.pid = 0

    def start(self) -> None:
        self.sensor.start(lambda seen: self.seen.append(seen))

    def look(self, directory: Path, interests: Interests | None = None) -> None:
        """Be interested in one directory, and forget what was seen."""
        self.sensor.consume()
        self.sensor.set_interests(interests or below(directory))
        self.sensor.consume()
        self.seen.clear()
        self.directory = directory

    def act(self, *calls: Call, cwd: Path | None = None, status: int = 0, prefix: Sequence[str] = ()) -> int:
        """Let a process make the calls; when it has ended take in everything. Returns its pid."""
        child = subprocess.Popen(
            [*prefix, self.program, *arguments_of(calls)], cwd=cwd, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        said = child.communicate(timeout=60)[1]
        assert (status, b"") == (child.returncode, said if child.returncode == 99 else b"")
        self.pid = child.pid
        self.sensor.consume()
        return child.pid

    def of(self, pid: int | None = None) -> dict[str, FileAction]:
        """Return what a process (by default the last that acted) did to which name below the directory."""
        found: dict[str, FileAction] = {}
        for observation in self.seen:
            if observation.process.pid == (self.pid if pid is None else pid):
                name = os.fsdecode(observation.path).removeprefix(str(self.directory) + "/")
                assert observation.new in observation.actions
                found[name] = found.get(name, NO_ACTIONS) | observation.new
        return found

    def last(self, action: FileAction) -> FileObservation:
        """Return the newest observation with an action among its news."""
        return next(observation for observation in reversed(self.seen) if action in observation.new)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Take in records until the condition holds."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"nothing of the kind among {self.seen}"
            select.select([self.sensor.fileno()], [], [], 0.1)
            self.sensor.consume()

    def keys(self) -> set[ProcessKey]:
        """Return the processes that were seen."""
        return {observation.process.key for observation in self.seen}

    def close(self) -> None:
        self.sensor.close()
