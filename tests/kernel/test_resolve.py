"""Names are resolved with whatever a file system behind them does."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raqib.model.process import ProcessKey
from raqib.sensors.lookups import MOST_STUCK_OF_ONE, Unanswered
from raqib.sensors.resolve import Giver, Resolver
from tests.fuse import refusing_file_system, silent_file_system
from tests.kernel.acting import AT_FDCWD, Watch
from tests.kernel.test_actions import CREATE


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """A file system in user space that never answers."""
    directory = tmp_path / "silent"
    directory.mkdir()
    with silent_file_system(directory):
        yield directory


def giver(pid: int | None = None, mnt_ns: int | None = None, user: int = 0) -> Giver:
    own = Path("/proc/self/ns/mnt").stat().st_ino
    return Giver(ProcessKey(os.getpid() if pid is None else pid, 1), own if mnt_ns is None else mnt_ns, user)


def resolve(resolver: Resolver, name: Path, *, follow: bool = False, user: int = 0) -> bytes | None:
    return resolver.resolve(os.fsencode(name), giver(user=user), follow=follow)


def test_file_system_that_never_answers(silent: Path, tmp_path: Path) -> None:
    resolver = Resolver()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "slow").symlink_to("real")
    # Where a link's time of use is to be written, the kernel does not answer at once.
    later = time.time() + 3600
    os.utime(tmp_path / "link", (later, later - 7200), follow_symlinks=False)
    begin = time.monotonic()
    for _ in range(20):
        assert None is resolve(resolver, silent / "a/b")
    # Two look-ups at most are left behind, each after a fifth of a second.
    assert 5 > time.monotonic() - begin
    assert os.fsencode(tmp_path / "real/x") == resolve(resolver, tmp_path / "link/x")
    assert None is resolve(resolver, tmp_path / "slow/x")
    assert os.fsencode(tmp_path / "real/x") == resolve(resolver, tmp_path / "slow/x", user=1)
    ((count, latest),) = resolver.take_unfollowed()
    assert (21, 21, os.getpid()) == (count, resolver.unfollowed, latest.key.pid)
    assert [] == resolver.take_unfollowed()


def test_one_user_holds_two_threads_only(silent: Path) -> None:
    resolver = Resolver()
    for user in (1, 1, 1, 2, 2, 2):
        assert None is resolve(resolver, silent / "a/b", user=user)
    waiting = [item for item in threading.enumerate() if item.name == "resolve"]
    assert 2 * MOST_STUCK_OF_ONE == len(waiting)


def test_no_thread_costs_that_look_up_only(tmp_path: Path, silent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver()
    descriptors = len([*Path("/proc/self/fd").iterdir()])

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert None is resolve(resolver, silent / "a/b")
    assert descriptors == len([*Path("/proc/self/fd").iterdir()])
    assert 1 == resolver.unfollowed
    assert os.fsencode(tmp_path / "x") == resolve(resolver, tmp_path / "x")


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL, errno.EMFILE])
def test_file_system_that_answers_with_whatever_error(tmp_path: Path, number: int) -> None:
    directory = tmp_path / "refusing"
    directory.mkdir()
    with refusing_file_system(directory, number):
        with pytest.raises(OSError, match=os.strerror(number)):
            (directory / "a").lstat()
        assert None is resolve(Resolver(), directory / "a/b")
        assert None is resolve(Resolver(), directory / "a", follow=True)


def test_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "real/to").symlink_to("from")
    (tmp_path / "real/from").touch()
    resolver = Resolver()
    assert os.fsencode(tmp_path / "real/none") == resolve(resolver, tmp_path / "link/none")
    assert os.fsencode(tmp_path / "real/to") == resolve(resolver, tmp_path / "link/to")
    assert os.fsencode(tmp_path / "real/from") == resolve(resolver, tmp_path / "link/to", follow=True)
    assert None is resolve(resolver, tmp_path / "loop/x")
    assert None is resolve(resolver, tmp_path / "none/x")
    assert os.fsencode(tmp_path / "x") == resolve(resolver, Path(f"/proc/self/root{tmp_path}/x"))


WAITS = "import os, sys; os.chdir(sys.argv[1]); print(flush=True); sys.stdin.read()"
CHANGES_ROOT = "import os, sys; os.chroot(sys.argv[1]); os.chdir('/'); print(flush=True); sys.stdin.read()"


@contextlib.contextmanager
def started(script: str, directory: Path) -> Iterator[int]:
    """Start a program, and yield its pid once it is where it should be."""
    command: list[str | Path] = ["/usr/bin/python3", "-I", "-c", script, directory]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert b"\n" == program.stdout.readline()
        yield program.pid


@pytest.mark.parametrize("target", ["/proc/self/cwd", "/proc/thread-self/cwd", "../../proc/self/cwd", "{here}/other"])
def test_links_to_what_procfs_calls_oneself(tmp_path: Path, target: str) -> None:
    """For whoever looks it up it would be the daemon."""
    below = tmp_path / "below"
    below.mkdir()
    (tmp_path / "other").symlink_to("/proc/self/cwd")
    ups = "../" * (len(tmp_path.parts) - 3)
    (tmp_path / "link").symlink_to(ups + target if target.startswith("..") else target.format(here=tmp_path))
    with started(WAITS, below) as pid:
        for name in (tmp_path / "link/x", Path("/tmp/../proc/self/cwd/x"), Path(f"/proc/{pid}/cwd/x")):
            found = Resolver().resolve(os.fsencode(name), giver(pid), follow=False)
            assert os.fsencode(below / "x") == found


def test_links_to_what_a_process_has_open(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    fd = os.open(tmp_path / "below", os.O_RDONLY)
    try:
        (tmp_path / "link").symlink_to(f"/proc/self/fd/{fd}")
        assert os.fsencode(tmp_path / "below/x") == resolve(Resolver(), tmp_path / "link/x")
    finally:
        os.close(fd)


def test_links_within_a_root_that_was_changed(tmp_path: Path) -> None:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/link").symlink_to("/etc")
    (tmp_path / "root/up").symlink_to("../../../etc")
    with started(CHANGES_ROOT, tmp_path / "root") as pid:
        for link in ("link", "up"):
            name = os.fsencode(tmp_path / "root" / link / "x")
            assert os.fsencode(tmp_path / "root/etc/x") == Resolver().resolve(name, giver(pid), follow=False)


def test_links_through_procfs_end(tmp_path: Path) -> None:
    descriptors = len([*Path("/proc/self/fd").iterdir()])
    (tmp_path / "loop").symlink_to(f"/proc/self/cwd/{'../' * 20}{tmp_path}/loop")
    resolver = Resolver()
    for name in ("loop/x", "none/../loop/x"):
        assert None is resolve(resolver, tmp_path / name)
    assert None is resolve(resolver, Path("/proc/self/cwd/\udcff/none/x"))
    assert descriptors == len([*Path("/proc/self/fd").iterdir()])


def test_file_at_the_root() -> None:
    assert b"/none" == resolve(Resolver(), Path("/none"))


def test_process_that_has_ended(tmp_path: Path) -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    resolver = Resolver()
    named = b"/proc/self/root" + os.fsencode(tmp_path) + b"/x"
    assert os.fsencode(tmp_path / "x") == resolver.resolve(named, giver(child), follow=False)
    assert None is resolver.resolve(b"/proc/self/cwd/x", giver(child), follow=False)
    assert None is resolver.resolve(os.fsencode(tmp_path / "x"), giver(child, 1), follow=False)


def test_names_that_are_not_followed_in_time_are_told_as_a_loss(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(resolver: Resolver, name: bytes, who: Giver) -> bytes:
        raise Unanswered

    monkeypatch.setattr(Resolver, "_open", never)
    pid = watch.act(["mkdirat", AT_FDCWD, tmp_path / "made", 0o700])
    assert {"made": CREATE} == watch.of(pid)
    assert watch.last(CREATE).as_given
    # Whoever else is root here may have given the latest.
    lost = [loss for loss in watch.sensor.lost() if loss.kind == "unfollowed_names"]
    assert os.getuid() in {loss.uid for loss in lost if loss.count}
    assert 1 <= watch.sensor.counters()["unfollowed"]
