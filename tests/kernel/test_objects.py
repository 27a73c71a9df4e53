"""No other name: what recipes name is known by what it is, by whatever road it is reached."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raqib.model.actions import ALL_ACTIONS, NO_ACTIONS, FileAction
from raqib.sensors.files import Hint, Interests
from tests.kernel.acting import AT_FDCWD, Call, Watch, arguments_of, argv, text
from tests.kernel.test_actions import OPEN, RENAME, TRUNCATE, UNLINK, opened
from tests.kernel.test_ways import MS_BIND, MS_REC, UNSHARE

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
OPEN_TREE_CLONE, AT_RECURSIVE, MOVE_MOUNT_F_EMPTY_PATH, MNT_DETACH = 1, 0x8000, 4, 2
NOBODY = 65534
WRITE = os.O_RDWR


@pytest.fixture
def place() -> Iterator[Path]:
    """dir/secret, other/, deep/er/: everybody may reach them."""
    directory = Path(tempfile.mkdtemp(prefix="raqib-objects-"))
    try:
        directory.chmod(0o755)
        (directory / "dir").mkdir()
        (directory / "dir/secret").write_bytes(b"secret")
        (directory / "other").mkdir()
        (directory / "deep/er").mkdir(parents=True)
        yield directory
    finally:
        shutil.rmtree(directory)


def exactly(*paths: Path) -> Interests:
    """Return a policy that is interested in these names, and in nothing else."""
    wanted = {os.fsencode(path) for path in paths}
    return Interests(
        ALL_ACTIONS,
        NO_ACTIONS,
        [Hint("exact", path, ALL_ACTIONS) for path in sorted(wanted)],
        lambda name: ALL_ACTIONS if name in wanted else NO_ACTIONS,
    )


@pytest.fixture
def secret(watch: Watch, place: Path) -> Path:
    """The file that the sensor is interested in."""
    watch.look(place, exactly(place / "dir/secret"))
    return place / "dir/secret"


def bind(source: Path, target: Path, flags: int = 0) -> list[Call]:
    return [*UNSHARE, ["mount", source, target, 0, MS_BIND | flags, 0]]


@contextmanager
def alive(watch: Watch, *calls: Call) -> Iterator[None]:
    """Make calls in a process that has not ended within."""
    child = subprocess.Popen([watch.program, *arguments_of([*calls, ["read", 0, "buf", 1]])], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        child.communicate(timeout=60)
    assert child.returncode == 0


def told(watch: Watch) -> list[tuple[str, str, FileAction]]:
    return [
        (os.fsdecode(observation.path), os.fsdecode(observation.host_path), observation.new)
        for observation in watch.seen
    ]


def test_its_own_name(watch: Watch, secret: Path) -> None:
    watch.act(opened(secret))
    assert [(str(secret), "", OPEN)] == told(watch)


def test_bind_mount_of_the_directory(watch: Watch, place: Path, secret: Path) -> None:
    watch.act(*bind(place / "dir", place / "other"), opened(place / "other/secret"))
    assert [(f"{place}/other/secret", str(secret), OPEN)] == told(watch)


def test_bind_mount_of_the_file(watch: Watch, place: Path, secret: Path) -> None:
    (place / "other/file").touch()
    watch.act(*bind(secret, place / "other/file"), opened(place / "other/file"))
    assert [(f"{place}/other/file", str(secret), OPEN)] == told(watch)


def test_bind_mount_of_the_root(watch: Watch, place: Path, secret: Path) -> None:
    watch.act(*bind(Path("/"), place / "other"), opened(Path(f"{place}/other{secret}")))
    assert [(f"{place}/other{secret}", str(secret), OPEN)] == told(watch)


def test_bind_mount_of_all_mounts(watch: Watch, place: Path, secret: Path) -> None:
    watch.act(*bind(Path("/"), place / "other", MS_REC), opened(Path(f"{place}/other{secret}")))
    assert [(f"{place}/other{secret}", str(secret), OPEN)] == told(watch)


def test_detached_mount(watch: Watch, place: Path, secret: Path) -> None:
    watch.act(
        *UNSHARE,
        ["open_tree", AT_FDCWD, place / "dir", OPEN_TREE_CLONE, "as", "tree"],
        ["openat", "$tree", text("secret"), 0],
    )
    assert [(str(secret), OPEN)] == [(host, new) for _, host, new in told(watch)]


def test_moved_mount(watch: Watch, place: Path, secret: Path) -> None:
    watch.act(
        *UNSHARE,
        ["open_tree", AT_FDCWD, place / "dir", OPEN_TREE_CLONE, "as", "tree"],
        ["move_mount", "$tree", text(""), AT_FDCWD, place / "other", MOVE_MOUNT_F_EMPTY_PATH],
        opened(place / "other/secret"),
    )
    assert [(f"{place}/other/secret", str(secret), OPEN)] == told(watch)


def test_mount_taken_away_under_an_open_directory(watch: Watch, place: Path, secret: Path) -> None:
    watch.act(
        *bind(place / "dir", place / "other"),
        ["chdir", place / "other"],
        ["umount2", place / "other", MNT_DETACH],
        ["openat", AT_FDCWD, text("secret"), 0],
    )
    assert [(str(secret), OPEN)] == [(host, new) for _, host, new in told(watch)]


def test_another_root(watch: Watch, place: Path, secret: Path) -> None:
    old = place / "other" / "tmp"
    watch.act(
        *bind(Path("/"), place / "other"),
        ["chdir", place / "other"],
        ["pivot_root", text("."), old],
        ["chroot", text(".")],
        ["openat", AT_FDCWD, text(f"/tmp/{place}/dir/secret"), 0],
    )
    assert OPEN in {new for _, _, new in told(watch)}


def test_chroot_into_a_bind_mount(watch: Watch, place: Path, secret: Path) -> None:
    watch.act(
        *bind(place / "dir", place / "other"), ["chroot", place / "other"], ["openat", AT_FDCWD, text("/secret"), 0]
    )
    assert [(f"{place}/other/secret", str(secret), OPEN)] == told(watch)


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR], ids=["read", "copied to be written"])
def test_overlay_over_the_directory(watch: Watch, place: Path, secret: Path, flags: int) -> None:
    for name in ("upper", "work"):
        (place / name).mkdir()
    options = f"lowerdir={place}/dir,upperdir={place}/upper,workdir={place}/work"
    watch.act(
        *UNSHARE,
        ["mount", text("overlay"), place / "other", text("overlay"), 0, text(options)],
        opened(place / "other/secret", flags),
    )
    assert [(f"{place}/other/secret", str(secret), OPEN)] == told(watch)


def test_parent_renamed(watch: Watch, place: Path, secret: Path) -> None:
    watch.act(["rename", place / "dir", place / "moved"], opened(place / "moved/secret"))
    assert (f"{place}/moved/secret", str(secret), OPEN) in told(watch)


def test_parent_renamed_and_replaced(watch: Watch, place: Path, secret: Path) -> None:
    (place / "dir").rename(place / "moved")
    secret.parent.mkdir()
    secret.write_bytes(b"another")
    watch.sensor.sweep()
    watch.seen.clear()
    watch.act(opened(place / "moved/secret"), opened(secret))
    assert [(f"{place}/moved/secret", str(secret), OPEN), (str(secret), "", OPEN)] == told(watch)


def test_hard_link_that_comes_later(watch: Watch, place: Path, secret: Path) -> None:
    os.link(secret, place / "other/link")
    watch.act(opened(place / "other/link"))
    assert [(f"{place}/other/link", str(secret), OPEN)] == told(watch)


def test_hard_link_of_everyday_life(watch: Watch, place: Path) -> None:
    """Names that a file has from the start mean nothing: one of them is not the other."""
    os.link(place / "dir/secret", place / "other/link")
    watch.look(place, exactly(place / "dir/secret"))
    watch.act(opened(place / "other/link"), opened(place / "dir/secret"))
    assert [(f"{place}/dir/secret", "", OPEN)] == told(watch)


def test_not_there_yet(watch: Watch, place: Path) -> None:
    secret = place / "deep/er/still/secret"
    watch.look(place, exactly(secret))
    (place / "deep/er/still").mkdir()
    secret.touch()
    watch.act(*bind(place / "deep", place / "other"), opened(place / "other/er/still/secret"))
    assert [(f"{place}/other/er/still/secret", str(secret), OPEN)] == told(watch)


@pytest.mark.parametrize("below", [False, True], ids=["another directory", "below another mount"])
def test_what_only_looks_alike_is_not_told(watch: Watch, place: Path, secret: Path, below: bool) -> None:
    (place / "deep/dir").mkdir()
    (place / "deep/dir/secret").touch()
    where = place / "other" if below else place / "deep"
    watch.act(*bind(place / "deep", place / "other"), opened(where / "dir/secret"))
    assert [] == told(watch)


def test_replaced_by_rename(watch: Watch, place: Path, secret: Path) -> None:
    """As editors and package managers write: known again before the next access."""
    calls: list[Call] = []
    for number in range(1000):
        (place / f"deep/{number}").touch()
        calls += [["rename", place / f"deep/{number}", secret], opened(place / "other/secret")]
        if len(calls) == 100:
            watch.act(*bind(place / "dir", place / "other"), *calls)
            calls.clear()
    opens = [report for report in told(watch) if OPEN in report[2]]
    assert [(f"{place}/other/secret", str(secret), OPEN)] * len(opens) == opens
    # Each process is told once of the file.
    assert 20 == len(opens)


@pytest.mark.parametrize("action", [TRUNCATE, UNLINK], ids=["truncate", "unlink"])
@pytest.mark.parametrize("name", ["secret", "./secret", "er/../secret", "../other/secret", "../alias/secret"])
def test_calls_by_name(watch: Watch, place: Path, secret: Path, name: str, action: FileAction) -> None:
    (place / "alias").symlink_to("other")
    (place / "dir/er").mkdir()
    call: Call = ["truncate", text(name), 1] if action == TRUNCATE else ["unlinkat", AT_FDCWD, text(name), 0]
    with alive(watch, *bind(place / "dir", place / "other"), ["chdir", place / "other"], call):
        watch.wait(lambda: bool(watch.seen))
    assert [(str(secret), action)] == [(host, new) for _, host, new in told(watch)]


def test_dots_are_followed_for_who_has_ended(watch: Watch, place: Path, secret: Path) -> None:
    (place / "dir/er").mkdir()
    watch.act(
        *bind(place / "dir", place / "other"),
        ["chdir", place / "other/er"],
        ["unlinkat", AT_FDCWD, text(".//../secret"), 0],
    )
    assert [(f"{place}/other/secret", str(secret), UNLINK)] == told(watch)
    assert not watch.seen[0].as_given


def test_dots_above_a_mount_lead_to_its_mount_point(watch: Watch, place: Path) -> None:
    near, far = place / "other/near", place / "dir/near"
    (place / "other/point").mkdir()
    near.touch()
    far.touch()
    watch.look(place, exactly(near, far))
    watch.act(
        *bind(place / "dir", place / "other/point"),
        ["chdir", place / "other/point"],
        ["unlinkat", AT_FDCWD, text("../near"), 0],
    )
    assert [(str(near), "", UNLINK)] == told(watch)
    assert far.exists()


def test_dots_end_at_the_root_of_the_process(watch: Watch, place: Path, secret: Path) -> None:
    watch.act(["chroot", place / "dir"], ["chdir", text("/")], ["unlinkat", AT_FDCWD, text("../../.././secret"), 0])
    assert [(str(secret), "", UNLINK)] == told(watch)


def test_rename_out_of_it(watch: Watch, place: Path, secret: Path) -> None:
    calls: Call = ["rename", place / "other/dir/secret", place / "other/deep/x"]
    with alive(watch, *bind(place, place / "other"), calls):
        watch.wait(lambda: bool(watch.seen))
    assert [(f"{place}/other/dir/secret", str(secret), RENAME)] == told(watch)


def test_execution(watch: Watch, place: Path, secret: Path) -> None:
    shutil.copy("/bin/true", secret)
    secret.chmod(0o755)
    watch.look(place, exactly(secret))
    path = place / "other/secret"
    watch.act(*bind(place / "dir", place / "other"), ["execve", path, *argv(path)])
    assert [(str(path), str(secret))] == [report[:2] for report in told(watch) if FileAction.EXECVE in report[2]]


def test_user_namespace_of_somebody_unprivileged(watch: Watch, place: Path, secret: Path) -> None:
    (place / "other").chmod(0o777)
    watch.act(
        ["setuid", NOBODY],
        ["unshare", CLONE_NEWUSER | CLONE_NEWNS],
        ["mount", place / "dir", place / "other", 0, MS_BIND, 0],
        opened(place / "other/secret", os.O_RDONLY),
    )
    assert [(f"{place}/other/secret", str(secret), OPEN)] == told(watch)


def test_mount_of_the_host_that_comes_later(watch: Watch, place: Path) -> None:
    """Recipes about what lies on a file system that is mounted later know it, too."""
    secret = place / "other/secret"
    watch.look(place, exactly(secret))
    subprocess.run(["mount", "-t", "tmpfs", "none", place / "other"], check=True)
    try:
        secret.touch()
        watch.sensor.sweep()
        watch.seen.clear()
        watch.act(*bind(place / "other", place / "deep"), opened(place / "deep/secret"))
        assert [(f"{place}/deep/secret", str(secret), OPEN)] == told(watch)
    finally:
        subprocess.run(["umount", place / "other"], check=True)


def test_no_room_for_objects(make_watch: Callable[[dict[str, int]], Watch], place: Path) -> None:
    paths = [place / f"dir/{number}" for number in range(20)]
    for path in paths:
        path.touch()
    watch = make_watch({"objects": 4})
    watch.start()
    watch.look(place, exactly(*paths))
    watch.act(*(opened(path, name=f"f{number}") for number, path in enumerate(paths)))
    assert [str(path) for path in paths] == [path for path, _, _ in told(watch)]


def test_what_has_not_changed_is_not_asked_for_again(
    watch: Watch, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every quarter of a second: no thread for each file of procfs, which is never cached."""
    names = ("cmdline", "cpuinfo", "devices", "filesystems", "iomem", "meminfo", "stat", "uptime")
    watch.look(place, exactly(place / "dir/secret", *(Path("/proc") / name for name in names)))
    objects = watch.sensor._objects
    objects.refresh()
    threads: list[threading.Thread] = []
    taught: list[bytes] = []
    start, teach = threading.Thread.start, objects._teach

    def count_start(thread: threading.Thread) -> None:
        threads.append(thread)
        start(thread)

    def count_teach(name: bytes, fd: int) -> None:
        taught.append(name)
        teach(name, fd)

    monkeypatch.setattr(threading.Thread, "start", count_start)
    monkeypatch.setattr(objects, "_teach", count_teach)
    for _ in range(10):
        objects.refresh()
    assert len(threads) <= 10
    assert [] == [name for name in taught if name.startswith(os.fsencode(place))]
