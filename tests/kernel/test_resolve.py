"""Names are resolved with whatever a file system behind them does."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raqib.sensors.resolve import Resolver
from tests.fuse import refusing_file_system, silent_file_system


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """A file system in user space that never answers."""
    directory = tmp_path / "silent"
    directory.mkdir()
    with silent_file_system(directory):
        yield directory


def resolve(resolver: Resolver, name: Path, *, follow: bool = False) -> bytes | None:
    own = Path("/proc/self/ns/mnt").stat().st_ino
    return resolver.resolve(os.fsencode(name), pid=os.getpid(), mnt_ns=own, follow=follow)


def test_file_system_that_never_answers(silent: Path, tmp_path: Path) -> None:
    resolver = Resolver()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    # Where a link's time of use is to be written, the kernel does not answer at once.
    later = time.time() + 3600
    os.utime(tmp_path / "link", (later, later - 7200), follow_symlinks=False)
    begin = time.monotonic()
    for _ in range(20):
        assert None is resolve(resolver, silent / "a/b")
    # Eight look-ups at most are left behind, each after a fifth of a second.
    assert 5 > time.monotonic() - begin
    assert os.fsencode(tmp_path / "real/x") == resolve(resolver, tmp_path / "link/x")


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


def test_file_at_the_root() -> None:
    assert b"/none" == resolve(Resolver(), Path("/none"))


def test_process_that_has_ended(tmp_path: Path) -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    own = Path("/proc/self/ns/mnt").stat().st_ino
    resolver = Resolver()
    named = b"/proc/self/root" + os.fsencode(tmp_path) + b"/x"
    assert os.fsencode(tmp_path / "x") == resolver.resolve(named, pid=child, mnt_ns=own, follow=False)
    assert None is resolver.resolve(b"/proc/self/cwd/x", pid=child, mnt_ns=own, follow=False)
    assert None is resolver.resolve(os.fsencode(tmp_path / "x"), pid=child, mnt_ns=1, follow=False)
