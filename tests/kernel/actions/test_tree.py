"""KillTree against real processes, some of which try to get away."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from raqib.actions.helpers import tree as tree_module
from raqib.host.procfs import ProcessStat
from raqib.model.process import ProcessKey
from raqib.model.recipe import Limits
from raqib.testing import live_process, make_detection, make_recipe

from .conftest import Acting, Change

TREE = """
import os, sys, time
def grow(depth):
    for _ in range(2):
        if os.fork() == 0:
            if depth: grow(depth - 1)
            os.write(1, b"%d\\n" % os.getpid())
            time.sleep(60)
            os._exit(0)
grow(1)
os.write(1, b"%d\\n" % os.getpid())
time.sleep(60)
"""

FORKING = """
import os, time
print(flush=True)
for _ in range(200):
    if os.fork() == 0:
        # Each goes on forking, as fast as it may.
        while True:
            if os.fork() == 0:
                time.sleep(60)
            time.sleep(0.05)
    time.sleep(0.002)
time.sleep(60)
"""


def start(code: str) -> subprocess.Popen[bytes]:
    # A group of its own: whatever gets away is ended by the test.
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, process_group=0)


@pytest.fixture
def tree(act: Acting) -> Iterator[list[int]]:
    """The pids of seven processes; the event is about the first of them."""
    with start(TREE) as root:
        try:
            assert root.stdout is not None
            pids = sorted(int(root.stdout.readline()) for _ in range(7))
            act.detection = make_detection("", ancestry=[live_process(root.pid)])
            yield [root.pid, *(pid for pid in pids if pid != root.pid)]
        finally:
            os.killpg(root.pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_all_of_them_are_killed(act: Acting, tree: list[int]) -> None:
    record = act("KillTree")
    assert ("done", 7, "") == (record.decision, record.value, record.reason)
    assert [] == [pid for pid in tree if alive(pid)]
    assert sorted(tree) == sorted(act.entries[-1]["arguments"]["pids"])


def test_none_escapes_by_forking(act: Acting) -> None:
    with start(FORKING) as root:
        try:
            assert root.stdout is not None
            root.stdout.readline()
            act.settings = msgspec.structs.replace(act.settings, kills_per_minute=100_000)
            act.detection = make_detection("", ancestry=[live_process(root.pid)])
            time.sleep(0.2)
            record = act("KillTree")
            assert record.value > 10, record.reason
            left = [
                int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and group(path) == root.pid
            ]
            assert [] == [pid for pid in left if alive(pid)]
        finally:
            os.killpg(root.pid, signal.SIGKILL)


def group(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[2])
    except (FileNotFoundError, ProcessLookupError):
        return 0


@pytest.fixture
def few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the tree is looked for there is room for three more of it."""
    bring = tree_module._bring_to_a_stand

    def with_few(looked_for: tree_module._Tree) -> bool:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
        held = [os.open("/dev/null", os.O_RDONLY)]
        while held[-1] < used:
            held.append(os.open("/dev/null", os.O_RDONLY))
        resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1] + 4 + tree_module.SPARE_FILES, before[1]))
        try:
            return bring(looked_for)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            for descriptor in held:
                os.close(descriptor)

    monkeypatch.setattr(tree_module, "_bring_to_a_stand", with_few)


def test_all_are_killed_however_many_files_are_open(act: Acting, tree: list[int], few_files: None) -> None:
    record = act("KillTree")
    assert ("done", 7, "") == (record.decision, record.value, record.reason)
    assert [] == [pid for pid in tree if alive(pid)]


def test_who_cannot_be_held_is_not_taken_for_gone(
    act: Acting, tree: list[int], few_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_module, "RAISES_LIMIT", False)
    record = act("KillTree")
    assert "done" == record.decision, record.reason
    assert 0 < record.value < 7
    left = [pid for pid in tree if alive(pid)]
    assert 7 - record.value == len(left)
    assert any(f"pid {pid} is left alive: it cannot be held: Too many open files" in record.reason for pid in left)


def test_what_the_budget_does_not_allow_goes_on(act: Acting, tree: list[int]) -> None:
    recipe = make_recipe("", limits=Limits(kills_per_minute=3))
    act.detection = make_detection(ancestry=[live_process(tree[0])], recipe=recipe)
    record = act("KillTree")
    assert 3 == record.value
    assert "4 are left alive: the recipe's budget of kills a minute is used up" in record.reason
    assert not alive(tree[0])
    left = [pid for pid in tree if alive(pid)]
    assert 4 == len(left)
    assert {"S"} == {state(pid) for pid in left}
    # The breaker has opened, and that is told once.
    assert [("kills", 3)] == [(opened.budget, opened.limit) for opened in act.opened]


def test_switching_all_actions_off_sets_a_stopped_tree_free(
    act: Acting, tree: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stand_and_switch_off(stopped: tree_module._Tree) -> bool:
        stood = bring_to_a_stand(stopped)
        assert {"T"} == {state(pid) for pid in tree}
        act.switch.disarm()
        return stood

    bring_to_a_stand = tree_module._bring_to_a_stand
    monkeypatch.setattr(tree_module, "_bring_to_a_stand", stand_and_switch_off)
    record = act("KillTree")
    assert ("refused", "all actions were switched off meanwhile") == (record.decision, record.reason)
    # On a busy machine one may still be on its way back to sleep.
    assert {"S", "R"} >= {state(pid) for pid in tree}
    assert ("would", 7) == ((record := act("KillTree")).decision, record.value)
    assert {"S", "R"} >= {state(pid) for pid in tree}


def test_protected_program_in_the_tree_is_left_alone(act: Acting, configure: Change) -> None:
    sleep = str(Path("/bin/sleep").resolve())
    code = f"import subprocess, time; print(subprocess.Popen(['{sleep}', '60']).pid, flush=True); time.sleep(60)"
    configure(protected_programs=(sleep,))
    with start(code) as root:
        try:
            assert root.stdout is not None
            child = int(root.stdout.readline())
            act.detection = make_detection("", ancestry=[live_process(root.pid)])
            record = act("KillTree")
            assert (1, True) == (
                record.value,
                f"pid {child} is left alive: pid {child} runs the protected" in record.reason,
            )
            assert "S" == state(child)
            assert [str(child)] == list(act.entries[-1]["arguments"]["refused"])
        finally:
            os.killpg(root.pid, signal.SIGKILL)


def test_another_process_of_the_same_pid_survives(act: Acting, victim: subprocess.Popen[bytes]) -> None:
    process = live_process(victim.pid)
    earlier = msgspec.structs.replace(process, key=ProcessKey(victim.pid, process.key.start_ns - 50_000_000))
    act.detection = make_detection("", ancestry=[earlier])
    record = act("KillTree")
    assert ("error", True) == (record.decision, "another process's now" in record.reason)
    assert state(victim.pid) in "SR"


def test_dry_run_counts_and_leaves_all_alone(act: Acting, tree: list[int]) -> None:
    act.dry_run = True
    record = act("KillTree")
    assert ("would", 7) == (record.decision, record.value)
    assert {"S"} == {state(pid) for pid in tree}


@pytest.mark.parametrize("left", [0, 1])
def test_dry_run_looks_through_all_processes_beside_the_loop_and_only_within_the_budget(
    act: Acting, tree: list[int], monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    looked: list[threading.Thread] = []

    def look() -> list[tuple[int, ProcessStat]]:
        looked.append(threading.current_thread())
        return all_processes()

    all_processes = tree_module._processes
    monkeypatch.setattr(tree_module, "_processes", look)
    recipe = make_recipe("", limits=Limits(kills_per_minute=left))
    act.detection = make_detection(ancestry=[live_process(tree[0])], recipe=recipe)
    act.dry_run = True
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    record = act("KillTree")
    assert (("would", 7) if left else ("refused", None)) == (record.decision, record.value)
    assert bool(left) == bool(looked)
    assert threading.main_thread() not in looked
    assert descriptors == len(list(Path("/proc/self/fd").iterdir()))


def test_event_without_a_process(act: Acting) -> None:
    assert "the event has no process" == act("KillTree").reason
