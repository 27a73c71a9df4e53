"""Runs programs in a cgroup of the test, and collects what the flow sensor saw of them."""

from __future__ import annotations

import select
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from raqib.model.flow import ALL_FLOW_ACTIONS, NO_FLOW_ACTIONS, FlowAction, FlowObservation
from raqib.model.process import ProcessKey
from raqib.sensors.flows import FlowSensor
from raqib.sensors.network import NetworkSensor
from raqib.sensors.processes import ProcessTable
from tests.cgroups import enter

DEADLINE_S = 100.0
PRELUDE = "import os, socket, struct, sys, time\nfrom socket import *\n"


class Flowing:
    """The flow sensor on one cgroup, interested in every action."""

    def __init__(self, cgroup: Path, processes: ProcessTable, sizes: dict[str, int] | None = None) -> None:
        self.cgroup = cgroup
        self.processes = processes
        self.seen: list[FlowObservation] = []
        self.children: list[subprocess.Popen[bytes]] = []
        self.network = NetworkSensor(sizes)
        self.sensor = FlowSensor(self.network, self.seen.append, processes.find)
        self.sensor.set_wanted(ALL_FLOW_ACTIONS)

    def start(self) -> None:
        self.sensor.set_cgroup(self.cgroup)
        self.network.start(self.cgroup)

    def spawn(
        self, *command: str | Path, pass_fds: Sequence[int] = (), cgroup: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program in the cgroup, or in another; its standard input and output are pipes."""
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=pass_fds,
            preexec_fn=lambda: enter(cgroup or self.cgroup),
        )
        self.children.append(child)
        return child

    def python(
        self, code: str, *arguments: str | int, prefix: Sequence[str] = (), cgroup: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a Python program in the cgroup, or in another."""
        line = [*prefix, sys.executable, "-ISc", PRELUDE + textwrap.dedent(code), *map(str, arguments)]
        return self.spawn(*line, cgroup=cgroup)

    def end(self, child: subprocess.Popen[bytes]) -> bytes:
        """Let a program end by itself; return what it still said."""
        said = child.communicate(timeout=DEADLINE_S)[0]
        assert 0 == child.returncode
        self.network.consume()
        return said

    def of(self, pid: int) -> list[FlowObservation]:
        """Return what was seen of a process."""
        return [flow for flow in self.seen if flow.process.pid == pid]

    def actions(self, pid: int, **where: Any) -> FlowAction:
        """Return all news of a process, of flows with these attributes."""
        found = NO_FLOW_ACTIONS
        for flow in self.of(pid):
            if all(getattr(flow, name) == value for name, value in where.items()):
                found |= flow.new
        return found

    def known(self, pid: int) -> list[FlowObservation]:
        """Return the flows of a process that the kernel remembers."""
        key = next(flow.process.key for flow in self.seen if flow.process.pid == pid)
        return self.sensor.flows(key)

    def key(self, pid: int) -> ProcessKey:
        return next(flow.process.key for flow in self.seen if flow.process.pid == pid)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Take in records until the condition holds."""
        deadline = time.monotonic() + DEADLINE_S
        self.network.consume()
        while not condition():
            assert time.monotonic() < deadline, f"nothing of the kind among {self.seen}"
            select.select([self.network.fileno()], [], [], 0.1)
            self.network.consume()

    def close(self) -> None:
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    stream.close()
        self.network.close()


def number(child: subprocess.Popen[bytes]) -> int:
    """Read a line with a number from a program."""
    assert child.stdout is not None
    return int(child.stdout.readline())


def tell(child: subprocess.Popen[bytes], text: str = "") -> None:
    """Write a line to a program."""
    assert child.stdin is not None
    child.stdin.write(text.encode() + b"\n")
    child.stdin.flush()
