"""Names that change under the reader: what is removed from a directory that recipes name is told all the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from raqib.model.actions import NO_ACTIONS
from raqib.sensors.files import Hint, Interests
from tests.kernel.acting import AT_FDCWD, Call, Watch, text
from tests.kernel.test_actions import RENAME, UNLINK

SOURCE = Path(__file__).with_name("race.c")
COUNT = 1000


@pytest.fixture(scope="session")
def race(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("race") / "race"
    subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, SOURCE], check=True)
    return program


@pytest.fixture
def kept(watch: Watch, tmp_path: Path) -> Path:
    """A directory that a recipe names, beside one that none does."""
    directory = tmp_path / "kept"
    directory.mkdir()
    (tmp_path / "none").mkdir()
    prefix = os.fsencode(directory) + b"/"
    wanted = UNLINK | RENAME
    watch.look(
        tmp_path,
        Interests(
            wanted,
            NO_ACTIONS,
            [Hint("dir", os.fsencode(directory), wanted)],
            lambda name: wanted if name.startswith(prefix) else NO_ACTIONS,
        ),
    )
    return directory


def gone(watch: Watch, directory: Path) -> list[str]:
    found = [name for observation in watch.seen for name in observation.names if observation.new & (UNLINK | RENAME)]
    return [os.fsdecode(name) for name in found if name.startswith(os.fsencode(directory) + b"/")]


def test_name_that_a_thread_turns(watch: Watch, tmp_path: Path, kept: Path, race: Path) -> None:
    for directory in (kept, tmp_path / "none"):
        for number in range(COUNT):
            (directory / f"{number:04}").touch()
    actor = subprocess.Popen([race, kept, tmp_path / "none", str(COUNT)], stdout=subprocess.PIPE)
    counted = int(actor.communicate(timeout=60)[0])
    watch.sensor.consume()
    watch.sensor.sweep()
    removed = {str(kept / f"{number:04}") for number in range(COUNT)} - {str(path) for path in kept.iterdir()}
    assert counted == len(removed)
    assert removed
    assert removed <= set(gone(watch, kept))
    assert {actor.pid} == {observation.process.pid for observation in watch.seen}


def test_link_that_is_turned_right_after(watch: Watch, tmp_path: Path, kept: Path) -> None:
    calls: list[Call] = []
    for number in range(100):
        (kept / f"{number}").touch()
        (tmp_path / f"link{number}").symlink_to(kept)
        (tmp_path / f"other{number}").symlink_to("none")
        calls += [
            ["unlinkat", AT_FDCWD, tmp_path / f"link{number}" / f"{number}", 0],
            ["rename", tmp_path / f"other{number}", tmp_path / f"link{number}"],
        ]
    watch.act(*calls)
    watch.sensor.sweep()
    assert {str(kept / f"{number}") for number in range(100)} <= set(gone(watch, kept))


def test_links_into_the_process_itself(watch: Watch, tmp_path: Path, kept: Path) -> None:
    (kept / "file").touch()
    (tmp_path / "link").symlink_to("/proc/self/cwd")
    watch.act(["chdir", kept], ["unlinkat", AT_FDCWD, text(tmp_path / "link/file"), 0])
    watch.sensor.sweep()
    assert [str(kept / "file")] == gone(watch, kept)


def test_moved_out_and_in(watch: Watch, tmp_path: Path, kept: Path) -> None:
    (kept / "old").touch()
    (tmp_path / "link").symlink_to(kept)
    pid = watch.act(
        ["rename", tmp_path / "link/old", tmp_path / "none/old"],
        ["rename", tmp_path / "none/old", tmp_path / "link/new"],
        ["unlinkat", AT_FDCWD, tmp_path / "link", 0],
    )
    watch.sensor.sweep()
    assert {str(kept / "old"), str(kept / "new")} == set(gone(watch, kept))
    assert {pid} == {observation.process.pid for observation in watch.seen}


def test_what_was_told_is_not_told_again(watch: Watch, kept: Path) -> None:
    (kept / "file").touch()
    watch.act(["unlinkat", AT_FDCWD, kept / "file", 0])
    watch.sensor.sweep()
    assert [str(kept / "file")] == gone(watch, kept)


def test_directory_that_is_replaced(watch: Watch, tmp_path: Path, kept: Path) -> None:
    kept.rename(tmp_path / "former")
    kept.mkdir()
    (kept / "file").touch()
    (tmp_path / "link").symlink_to(kept)
    watch.sensor.sweep()
    watch.act(["unlinkat", AT_FDCWD, tmp_path / "link/file", 0], ["unlinkat", AT_FDCWD, tmp_path / "link", 0])
    watch.sensor.sweep()
    assert str(kept / "file") in gone(watch, kept)


def test_more_than_notification_takes_is_a_loss(watch: Watch, kept: Path) -> None:
    """The kernel keeps 16,384 changes until they are read; the hooks tell of them all the same."""
    count = int(Path("/proc/sys/fs/fanotify/max_queued_events").read_text()) + 1000
    for number in range(count):
        (kept / f"{number}").touch()
    watch.sensor.sweep()
    watch.sensor.lost()
    for path in list(kept.iterdir()):
        path.unlink()
    watch.sensor.sweep()
    assert ["removals"] == [lost.kind for lost in watch.sensor.lost() if lost.kind == "removals"]
    assert [] == [lost.kind for lost in watch.sensor.lost() if lost.kind == "removals"]
