"""What is known of processes: those that live, those that have ended, those that were there before."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from raqib.model.actions import FileAction
from raqib.model.process import Process
from tests.kernel.acting import AT_FDCWD, Watch, argv, text
from tests.kernel.test_actions import OPEN, READ, opened

CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWCGROUP = 0x04000000, 0x08000000, 0x40000000, 0x02000000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def actor(watch: Watch) -> Process:
    return watch.seen[-1].process


def test_ended_process(watch: Watch, file: Path) -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    watch.act(opened(file), ["exit_group", 3], status=3)
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    seen = actor(watch)
    assert None is seen.exit_ns
    ended = watch.sensor.processes.find(seen.key)
    assert ended is not None
    assert ended.exit_ns is not None
    assert before < seen.key.start_ns < seen.image.exec_ns < ended.exit_ns < after
    assert 3 << 8 == ended.exit_status
    assert watch.sensor.agent == ended.parent
    assert os.getpid() == ended.ppid
    assert os.fsencode(watch.program) == ended.image.exe


def test_killed_process(watch: Watch, file: Path) -> None:
    watch.act(opened(file), ["getpid", "as", "me"], ["kill", "$me", signal.SIGKILL], status=-signal.SIGKILL)
    ended = watch.sensor.processes.find(actor(watch).key)
    assert signal.SIGKILL == (ended.exit_status if ended else None)


def test_status_is_that_of_the_first_thread(watch: Watch, file: Path) -> None:
    watch.act(["thread", "[", *opened(file), "]"], ["exit_group", 7], status=7)
    ended = watch.sensor.processes.find(actor(watch).key)
    assert 7 << 8 == (ended.exit_status if ended else None)


def test_thread_is_no_process(watch: Watch, file: Path) -> None:
    living = {key for key in watch.sensor.processes.living() if key.pid == os.getpid()}
    watch.act(opened(file), ["thread", "[", "read", "$f", "buf", 1, "]"])
    assert {"file": OPEN | READ} == watch.of()
    assert {watch.sensor.agent} == living


@pytest.mark.parametrize("length", [10, 300, 2000, 3800])
def test_arguments_are_whole(watch: Watch, file: Path, length: int) -> None:
    long = b"x" * length
    watch.act(["execve", watch.program, *argv("act", "openat", str(AT_FDCWD), text(file), "0", ",", "getpid", long)])
    image = actor(watch).image
    assert (False, long) == (image.args_truncated, image.args[-1])
    later = watch.sensor.processes.find(actor(watch).key)
    assert image == (later.image if later else None)


def test_longer_arguments_are_marked(watch: Watch, file: Path) -> None:
    long = b"y" * 5000
    watch.act(["execve", watch.program, *argv("act", "openat", str(AT_FDCWD), text(file), "0", ",", "getpid", long)])
    image = actor(watch).image
    assert image.args_truncated
    assert long.startswith(image.args[-1])
    assert 4095 == len(b"\0".join(image.args))


def test_image_before(watch: Watch, file: Path, tmp_path: Path) -> None:
    shutil.copy(watch.program, tmp_path / "second")
    watch.act(["execve", tmp_path / "second", *argv("two", "openat", str(AT_FDCWD), text(file), "0")])
    process = actor(watch)
    assert (os.fsencode(tmp_path / "second"), b"two") == (process.image.exe, process.image.args[0])
    assert process.previous is not None
    assert (os.fsencode(watch.program), b"execve") == (process.previous.exe, process.previous.args[1])
    assert b"ld-linux" in process.image.loader
    assert process.previous.loader == process.image.loader


def test_ancestors_that_have_ended(watch: Watch, file: Path) -> None:
    """The child of a child; those between end first."""
    reads, writes = os.pipe()
    os.set_inheritable(writes, True)
    child = subprocess.Popen(
        [
            watch.program,
            *(b"fork [ leave [ read 0 buf 1 , openat -100 s:%s 0 ] ]" % os.fsencode(file)).split(),
        ],
        stdin=reads,
        close_fds=True,
    )
    assert 0 == child.wait(60)
    os.close(reads)
    os.close(writes)
    watch.wait(lambda: bool(watch.seen))
    process = actor(watch)
    between = watch.sensor.processes.find(process.parent)
    assert between is not None
    assert between.exit_ns is not None
    first = watch.sensor.processes.find(between.parent)
    assert first is not None
    assert (child.pid, os.getpid()) == (first.pid, first.parent.pid)
    assert process.ppid != between.pid


def test_process_that_was_there_before(make_watch, tmp_path: Path, act_program: Path, file: Path) -> None:  # type: ignore[no-untyped-def]
    reads, writes = os.pipe()
    child = subprocess.Popen(
        [act_program, "read", "0", "buf", "1", ",", "openat", "-100", text(file), "0"], stdin=reads
    )
    os.close(reads)
    try:
        watch = make_watch({})
        watch.look(tmp_path)
        watch.start()
        living = {key.pid: key for key in watch.sensor.processes.living()}
        found = watch.sensor.processes.find(living[child.pid])
        assert found is not None
        assert os.fsencode(act_program) == found.image.exe
        assert (b"read", b"0") == found.image.args[1:3]
        assert (os.getpid(), 0) == (found.parent.pid, found.image.exec_ns)
        parents = [found]
        while parents[-1].parent.pid:
            parent = watch.sensor.processes.find(parents[-1].parent)
            assert parent is not None
            parents.append(parent)
        assert 1 == parents[-1].pid
        assert b"" != parents[-1].image.exe
    finally:
        os.close(writes)
        assert 0 == child.wait(60)
    watch.sensor.consume()
    assert [found.key] == [observation.process.key for observation in watch.seen]
    assert found.image == watch.seen[0].process.image


def test_every_process_is_taken_in(make_watch) -> None:  # type: ignore[no-untyped-def]
    def listed() -> set[int]:
        return {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}

    before = listed()
    watch = make_watch({})
    watch.start()
    known = {key.pid for key in watch.sensor.processes.living()}
    assert set() == (before & listed()) - known


def test_namespaces(watch: Watch, file: Path) -> None:
    flags = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP | 0x20000
    watch.act(["unshare", flags], opened(file))
    found = actor(watch).namespaces
    own = {name: Path(f"/proc/self/ns/{name}").stat().st_ino for name in ("mnt", "pid", "uts", "ipc", "net", "cgroup")}
    for name, inode in own.items():
        assert (name == "pid") == (inode == getattr(found, f"{name}_ns"))


def test_pid_namespace(watch: Watch, file: Path) -> None:
    watch.act(opened(file), prefix=["unshare", "--pid", "--fork"])
    process = actor(watch)
    assert (1, watch.pid) == (process.ns_pid, process.ppid)
    assert process.namespaces.pid_ns != Path("/proc/self/ns/pid").stat().st_ino
    assert process.pid not in (1, watch.pid)


def test_user(watch: Watch, file: Path) -> None:
    file.chmod(0o644)
    for directory in (file.parent, file.parent.parent, file.parent.parent.parent):
        directory.chmod(0o755)
    watch.act(opened(file, os.O_RDONLY), ["setuid", 12345], ["read", "$f", "buf", 1])
    assert [0, 12345] == [observation.process.uid for observation in watch.seen]


def test_comm(watch: Watch, file: Path) -> None:
    watch.act(["prctl", 15, text("renamed")], opened(file))
    assert b"renamed" == actor(watch).comm


def test_file_that_a_process_accessed(watch: Watch, file: Path) -> None:
    watch.act(opened(file), ["read", "$f", "buf", 1])
    accessed = {access.path: access.actions for access in watch.sensor.accessed(actor(watch).key)}
    assert OPEN | READ == accessed[os.fsencode(file)]
    assert FileAction.EXECVE in accessed[os.fsencode(watch.program)]
