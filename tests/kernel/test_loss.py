"""Nothing is lost in silence: what has no room waits, what cannot wait is counted, what has ended goes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from raqib.model.actions import ALL_ACTIONS, NO_ACTIONS, FileAction
from tests.kernel.acting import AT_FDCWD, Call, Watch, arguments_of, below, text
from tests.kernel.test_actions import CLOSE, CREATE, OPEN, UNLINK

MakeWatch = Callable[[dict[str, int]], Watch]
SMALLEST_RING = 4096
FILES = 2000


def watched(watch: Watch) -> int:
    """Return how many files the kernel keeps for processes that were told of: for others it keeps some as well."""
    table = watch.sensor._bpf.map("watched", "struct access_key", "struct watched")
    own = {(observation.process.key.pid, observation.process.key.start_ns) for observation in watch.seen}
    return sum((key.process.pid, key.process.start_ns) in own for key, _ in table.entries())


def processes(watch: Watch) -> int:
    """Return how many of the processes that were told of it keeps."""
    table = watch.sensor._bpf.map("processes", "struct process_key", "struct process")
    own = {(observation.process.key.pid, observation.process.key.start_ns) for observation in watch.seen}
    return sum((key.pid, key.start_ns) in own for key, _ in table.entries())


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    directory = tmp_path / "crowd"
    directory.mkdir()
    for index in range(FILES):
        (directory / str(index)).touch()
    return directory


def start(make_watch: MakeWatch, sizes: dict[str, int], directory: Path, actions: FileAction = OPEN | CLOSE) -> Watch:
    """Start a sensor that wants no action of which only a name is known: those of all processes would be told."""
    watch = make_watch(sizes)
    watch.look(directory, below(directory, actions))
    watch.start()
    return watch


def delivered(watch: Watch) -> dict[str, FileAction]:
    """What was told, each action of each file exactly once."""
    found: dict[str, FileAction] = {}
    for observation in watch.seen:
        name = os.fsdecode(observation.path).removeprefix(f"{watch.directory}/")
        assert NO_ACTIONS == found.get(name, NO_ACTIONS) & observation.new
        found[name] = found.get(name, NO_ACTIONS) | observation.new
    return found


@pytest.mark.parametrize("lives", [False, True], ids=["process has ended", "process lives"])
def test_burst_without_reading(make_watch: MakeWatch, crowd: Path, lives: bool) -> None:
    watch = start(make_watch, {"records": 4 * SMALLEST_RING}, crowd)
    reads, writes = os.pipe()
    calls: list[Call] = [["flood", crowd, FILES, FILES, -1]]
    if lives:
        calls.append(["read", reads, "buf", 1])
    child = subprocess.Popen([watch.program, *arguments_of(calls)], pass_fds=[reads])
    os.close(reads)
    try:
        if lives:
            # It waits once it has blocked in read(2), after all that it had to do.
            stat = Path(f"/proc/{child.pid}/syscall")
            watch_until_blocked(stat)
        else:
            assert 0 == child.wait(60)
        assert watch.sensor.counters()["pending"] > FILES
        while watch.sensor.consume():
            pass
        in_ring = len(watch.seen)
        assert FILES > in_ring
        assert watch.sensor.sweep() > 0
        while watch.sensor.consume():
            pass
        expected = {str(index): OPEN | CLOSE for index in range(FILES)}
        assert expected == {name: actions for name, actions in delivered(watch).items() if name in expected}
        assert {child.pid} == {observation.process.pid for observation in watch.seen}
        told = len(watch.seen)
        watch.sensor.sweep()
        assert told == len(watch.seen)
        assert {0} == {value for name, value in watch.sensor.counters().items() if name.startswith("lost_")}
    finally:
        os.close(writes)
        assert 0 == child.wait(60)
    watch.sensor.sweep()
    assert 0 == watched(watch)


def watch_until_blocked(syscall: Path) -> None:
    deadline = time.monotonic() + 30
    while not syscall.read_text().startswith("0 "):  # read(2) on x86-64
        assert time.monotonic() < deadline
        os.sched_yield()


def test_burst_of_names(make_watch: MakeWatch, tmp_path: Path) -> None:
    """What is named only waits as well, with its links resolved at the end."""
    (tmp_path / "alias").symlink_to(tmp_path)
    watch = start(make_watch, {"records": SMALLEST_RING}, tmp_path, ALL_ACTIONS)
    calls: list[Call] = []
    for index in range(100):
        calls += [["mkdirat", AT_FDCWD, tmp_path / f"alias/{index}", 0o700]]
        calls += [["unlinkat", AT_FDCWD, tmp_path / f"alias/{index}", 0x200]]
    watch_act_unread(watch, calls)
    assert watch.sensor.counters()["pending"] > 0
    watch.sensor.consume()
    watch.sensor.sweep()
    assert {str(index): CREATE | UNLINK for index in range(100)} == delivered(watch)
    assert {False} == {observation.as_given for observation in watch.seen}
    assert 0 == watched(watch)


def watch_act_unread(watch: Watch, calls: list[Call]) -> None:
    subprocess.run([watch.program, *arguments_of(calls)], check=True)


def test_pending_alias(make_watch: MakeWatch, crowd: Path) -> None:
    """Only the alias matters to the recipes: it waits with the file."""
    alias = crowd.parent / "alias"
    alias.symlink_to(crowd)
    watch = start(make_watch, {"records": SMALLEST_RING}, alias)
    watch_act_unread(watch, [["openat", AT_FDCWD, alias / str(index), 0] for index in range(200)])
    assert watch.sensor.counters()["pending"] > 0
    watch.sensor.consume()
    watch.sensor.sweep()
    assert {str(crowd / str(index)): OPEN for index in range(200)} == delivered(watch)
    assert {(os.fsencode(alias / Path(os.fsdecode(observation.path)).name),) for observation in watch.seen} == {
        observation.aliases for observation in watch.seen
    }


def test_long_pending_path(make_watch: MakeWatch, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 200) / ("e" * 200)
    deep.mkdir(parents=True)
    for index in range(50):
        (deep / str(index)).touch()
    watch = start(make_watch, {"records": SMALLEST_RING}, deep)
    watch_act_unread(watch, [["flood", deep, 50, 50, -1]])
    watch.sensor.consume()
    watch.sensor.sweep()
    expected = {str(index): OPEN | CLOSE for index in range(50)}
    assert expected == {name: actions for name, actions in delivered(watch).items() if name in expected}


def test_no_room_to_watch(make_watch: MakeWatch, crowd: Path) -> None:
    """What cannot be remembered is told all the same."""
    watch = start(make_watch, {"watched": 64}, crowd)
    watch.act(["flood", crowd, 500, 500, -1])
    assert {str(index) for index in range(500)} <= delivered_at_all(watch)
    assert 0 == watch.sensor.counters()["lost_watched"]
    assert 0 == watched(watch)


def test_room_neither_to_send_nor_to_wait(make_watch: MakeWatch, crowd: Path) -> None:
    watch = start(make_watch, {"watched": 64, "records": SMALLEST_RING}, crowd, ALL_ACTIONS)
    calls: list[Call] = [["flood", crowd, 200, 200, -1], ["read", 0, "buf", 1], ["unlinkat", AT_FDCWD, crowd / "7", 0]]
    child = subprocess.Popen([watch.program, *arguments_of(calls)], stdin=subprocess.PIPE)
    try:
        watch_until_blocked(Path(f"/proc/{child.pid}/syscall"))
        assert watch.sensor.counters()["lost_watched"] > 0
        watch.sensor.consume()
        watch.sensor.sweep()
    finally:
        child.communicate(b"x", timeout=20)
    watch.sensor.consume()
    watch.sensor.sweep()
    # The loss is told with whatever is told afterwards of a process that lost something.
    seen = watch.last(UNLINK)
    assert (child.pid, True) == (seen.process.pid, seen.lost > 0)
    assert 0 == watched(watch)


def test_ended_processes_leave(make_watch: MakeWatch, crowd: Path) -> None:
    watch = start(make_watch, {}, crowd)
    forks: list[Call] = []
    for _ in range(200):
        forks += [["fork", "[", "openat", str(AT_FDCWD), text(crowd / "1"), "0", "]"]]
    for _ in range(10):
        watch.act(*forks)
    assert 2000 == len(watch.keys())
    assert 0 == watched(watch)
    assert 0 == processes(watch)


def test_threads_that_meet_at_one_file(make_watch: MakeWatch, crowd: Path) -> None:
    """Whoever is first, the chain by which the end finds the entries is whole."""
    watch = start(make_watch, {}, crowd)
    watch.act(["crowd", crowd, FILES, 4])
    # Two threads may tell the same news twice, and then not all fits: one sweep delivers, the next tidies up.
    watch.sensor.sweep()
    watch.sensor.sweep()
    assert {str(index) for index in range(FILES)} <= set(delivered_at_all(watch))
    assert 0 == watched(watch)


def delivered_at_all(watch: Watch) -> set[str]:
    return {os.fsdecode(observation.path).removeprefix(f"{watch.directory}/") for observation in watch.seen}


@pytest.mark.slow
def test_flood_of_known_files(make_watch: MakeWatch, crowd: Path) -> None:
    (crowd / "needle").touch()
    watch = start(make_watch, {}, crowd)
    watch.act(["flood", crowd, 64, 100_000, 77_777])
    assert {str(index) for index in range(64)} | {"needle"} <= set(delivered(watch))
    assert OPEN | CLOSE == delivered(watch)["needle"]
    counters = watch.sensor.counters()
    assert 200 > counters["records"]
    assert (0, 0) == (counters["pending"], counters["lost_watched"])


@pytest.mark.timeout(30)
@pytest.mark.parametrize("named", [False, True], ids=["names forgotten", "names known"])
def test_a_chain_of_files_that_leads_back_is_left(make_watch: MakeWatch, crowd: Path, named: bool) -> None:
    """It runs through a map that forgets: a file that is forgotten and comes again is put before those after it."""
    sensor = start(make_watch, {}, crowd).sensor
    accesses = sensor._bpf.map("accesses", "struct access_key", "struct access")
    paths = sensor._bpf.map("paths", "uint64_t", "struct context_path")
    processes = sensor._bpf.map("processes", "struct process_key", "struct process")
    own = processes.get(processes.key({"pid": sensor.agent.pid, "start_ns": sensor.agent.start_ns}))
    assert own is not None
    own.tally.last_access = 1
    processes.set(processes.key(own.key), own)
    for file, following in ((1, 2), (2, 3), (3, 1)):
        accesses.set(accesses.key({"process": own.key, "file": file}), accesses.value({"next": following}))
        if named:
            paths.set(paths.key(file), paths.value({"len": 2, "path": b"/%d" % file}))
    assert ([b"/1", b"/2", b"/3"] if named else []) == [access.path for access in sensor.accessed(sensor.agent)]


def test_a_burst_is_taken_in_by_parts(make_watch: MakeWatch, crowd: Path) -> None:
    watch = start(make_watch, {}, crowd, OPEN)
    subprocess.run([watch.program, *arguments_of([["flood", crowd, FILES, FILES, -1]])], check=True)
    assert 100 == watch.sensor.consume(100)
    assert 100 == len(watch.seen)
    watch.wait(lambda: len(watch.seen) == FILES)
    expected = {b"%s/%d" % (os.fsencode(crowd), number) for number in range(FILES)}
    for _ in range(20):
        accessed = watch.sensor.accessed(watch.seen[0].process.key)
        assert 1000 <= len(expected & {access.path for access in accessed}) <= len(accessed) <= 1024
