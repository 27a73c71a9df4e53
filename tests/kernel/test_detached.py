"""Nothing stays behind, however the daemon ends."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from raqib.errors import RaqibError
from raqib.kernel.object import BpfObject
from tests.kernel.acting import Watch

HOLDER = """
import sys, threading
from raqib.sensors.files import FileSensor
sensor = FileSensor()
sensor.start(print)
print("ready", flush=True)
threading.Event().wait()
"""


def programs() -> dict[int, str]:
    """Return the loaded programs by id."""
    shown = subprocess.run(["bpftool", "prog", "show", "-j"], capture_output=True, check=True).stdout
    return {record["id"]: record.get("name", "") for record in json.loads(shown)}


def held_by(pid: int) -> set[int]:
    """Return the ids of the programs that a process has descriptors of."""
    found: set[int] = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor that listed them
            lines = info.read_text().splitlines()
            found.update(int(line.split()[1]) for line in lines if line.startswith("prog_id:"))
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_daemon_leaves_nothing(number: signal.Signals) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert select.select([child.stdout], [], [], 60)[0]
        assert b"ready\n" == child.stdout.readline()
        held = held_by(child.pid)
        assert len(held) >= 5
        assert held <= set(programs())
    finally:
        child.send_signal(number)
        assert -number == child.wait(60)
        if child.stdout:
            child.stdout.close()
    deadline = time.monotonic() + 20
    while left := held & set(programs()):
        assert time.monotonic() < deadline, f"still loaded: {left}"


def test_closed_sensor_leaves_nothing(make_watch: Callable[[dict[str, int]], Watch], tmp_path: Path) -> None:
    before = held_by(os.getpid())
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    watch = make_watch({})
    watch.look(tmp_path)
    watch.start()
    held = held_by(os.getpid()) - before
    assert len(held) >= 5
    watch.close()
    assert before == held_by(os.getpid())
    assert descriptors == len(list(Path("/proc/self/fd").iterdir()))
    deadline = time.monotonic() + 20
    while left := held & set(programs()):
        assert time.monotonic() < deadline, f"still loaded: {left}"
    watch.close()


def test_failed_load_leaves_nothing() -> None:
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(RaqibError, match="watched"):
        BpfObject({"watched": 0})
    with pytest.raises(RaqibError, match="no_such_map"):
        BpfObject({"no_such_map": 1})
    assert descriptors == len(list(Path("/proc/self/fd").iterdir()))
