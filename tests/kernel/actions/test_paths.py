"""Every helper that takes a path, where the path leads to something else than expected."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from raqib.actions.helpers import directories, files
from raqib.host.removal import remove_contents
from raqib.model.execution import ActionRecord

from .conftest import Acting

Call = Callable[[Acting, str], ActionRecord]

READING: dict[str, Call] = {
    "ReadFile": lambda act, path: act("ReadFile", path),
    "HashFile": lambda act, path: act("HashFile", path),
    "CopyFile from": lambda act, path: act("CopyFile", path, str(act.writable / "copies")),
}
WRITING: dict[str, Call] = {
    "WriteFile": lambda act, path: act("WriteFile", path, "text"),
    "AppendFile": lambda act, path: act("AppendFile", path, "text"),
    "CopyFile to": lambda act, path: act("CopyFile", source(act, Path(path).name), str(Path(path).parent)),
}


def source(act: Acting, name: str) -> str:
    (act.directory / "source").mkdir(exist_ok=True)
    (act.directory / "source" / name).write_text("text")
    return str(act.directory / "source" / name)


@pytest.fixture(params=READING)
def read(request: pytest.FixtureRequest) -> Call:
    return READING[request.param]


@pytest.fixture(params=WRITING)
def write(request: pytest.FixtureRequest) -> Call:
    return WRITING[request.param]


def odd_files(act: Acting) -> dict[str, Path]:
    """What is there in place of a file."""
    os.mkfifo(act.writable / "fifo")
    os.mknod(act.writable / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    os.mknod(act.writable / "socket", stat.S_IFSOCK | 0o600)
    (act.writable / "directory").mkdir()
    return {name: act.writable / name for name in ("fifo", "device", "socket", "directory")}


def test_reading_what_is_no_file(act: Acting, read: Call) -> None:
    for name, path in odd_files(act).items():
        record = read(act, str(path))
        assert ("error", None) == (record.decision, record.value), name
        assert "expected a regular file" in record.reason, name


def test_writing_what_is_no_file(act: Acting, write: Call) -> None:
    for name, path in odd_files(act).items():
        before = path.stat()
        record = write(act, str(path))
        assert ("error", None) == (record.decision, record.value), name
        assert "expected a regular file or none" in record.reason, name
        assert (before.st_ino, before.st_mode) == (path.stat().st_ino, path.stat().st_mode)


def test_stat_says_what_it_is(act: Acting) -> None:
    modes = {name: act("Stat", str(path)).value["mode"][0] for name, path in odd_files(act).items()}
    assert {"fifo": "p", "device": "c", "socket": "s", "directory": "d"} == modes


def test_reading_what_is_not_there(act: Acting, read: Call) -> None:
    for path in (act.writable / "none", act.writable / "no" / "directory", Path("/proc/self/none")):
        record = read(act, str(path))
        assert ("error", True) == (record.decision, "No such file" in record.reason)
    (act.writable / "file").touch()
    assert "Not a directory" in read(act, str(act.writable / "file" / "x")).reason
    assert "too long" in read(act, "/" + "x" * 300).reason


def test_writing_below_what_is_not_there_makes_it(act: Acting, write: Call) -> None:
    path = act.writable / "no" / "directory" / "file"
    assert 0 == write(act, str(path)).value
    assert "text" == path.read_text()
    assert (0o700, 0o700, 0o600) == tuple(
        made_path.stat().st_mode & 0o777 for made_path in (path.parent.parent, path.parent, path)
    )
    assert "Not a directory" in write(act, str(path / "x")).reason


def test_reading_through_links(act: Acting, read: Call) -> None:
    (act.writable / "file").write_text("x")
    (act.writable / "link").symlink_to("file")
    (act.writable / "way").symlink_to(act.writable)
    assert read(act, str(act.writable / "link")).succeeded
    assert read(act, str(act.writable / "way" / "file")).succeeded
    (act.writable / "loop").symlink_to("loop")
    (act.writable / "dangling").symlink_to("nowhere")
    assert "error" == read(act, str(act.writable / "loop")).decision
    assert "No such file" in read(act, str(act.writable / "dangling")).reason


def test_writing_through_links(act: Acting, write: Call, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    (act.writable / "way").symlink_to(outside)
    (act.writable / "precious").symlink_to(outside / "precious")
    (act.writable / "dangling").symlink_to(outside / "new")
    (act.writable / "magic").symlink_to(f"/proc/self/fd/{os.open(outside, os.O_RDONLY)}")
    for name in ("way/precious", "way/new", "precious", "dangling", "magic/new", "way/deeper/new"):
        record = write(act, str(act.writable / name))
        assert ("error", True) == (record.decision, "symbolic link" in record.reason), name
    assert ["precious"] == [path.name for path in outside.iterdir()]
    assert "precious" == (outside / "precious").read_text()


def test_removing_through_links(act: Acting) -> None:
    path = Path(act("CreateTempDir").value)
    (act.writable / "link").symlink_to(path)
    (act.directory / "way").symlink_to(act.writable)
    for spelled in (act.writable / "link", act.directory / "way" / path.name):
        assert "symbolic link" in act("RemoveDir", str(spelled)).reason
    assert path.is_dir()
    path.rmdir()
    path.symlink_to(act.places.data_dir)
    assert "symbolic link" in act("RemoveDir", str(path)).reason
    assert act.ledger_path.exists()


def test_links_within_what_is_removed_are_not_followed(act: Acting, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    path = Path(act("CreateTempDir").value)
    (path / "link").symlink_to(tmp_path / "precious")
    assert 0 == act("RemoveDir", str(path)).value
    assert (tmp_path / "precious" / "file").exists()


def test_parent_swapped_for_a_link_after_the_check(
    act: Acting, write: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the last moment before the file is created, the directory is renamed and a link stands in its place."""
    parent, outside = act.writable / "parent", tmp_path / "outside"
    parent.mkdir()
    outside.mkdir()
    original = files.find_obstacle

    def swap(*arguments: object) -> object:
        found = original(*arguments)  # type: ignore[arg-type]
        parent.rename(act.writable / "moved")
        parent.symlink_to(outside)
        return found

    monkeypatch.setattr(files, "find_obstacle", swap)
    monkeypatch.setattr("raqib.actions.helpers.copies.find_obstacle", swap)
    assert 0 == write(act, str(parent / "file")).value
    assert [] == list(outside.iterdir())
    assert "text" == (act.writable / "moved" / "file").read_text()


def test_file_swapped_for_a_link_after_the_check(
    act: Acting, write: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    original = files.find_obstacle

    def swap(*arguments: object) -> object:
        found = original(*arguments)  # type: ignore[arg-type]
        (act.writable / "file").symlink_to(precious)
        return found

    monkeypatch.setattr(files, "find_obstacle", swap)
    monkeypatch.setattr("raqib.actions.helpers.copies.find_obstacle", swap)
    write(act, str(act.writable / "file"))
    assert "precious" == precious.read_text()


def test_directory_swapped_for_a_link_while_it_is_removed(
    act: Acting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    path = Path(act("CreateTempDir").value)
    (path / "file").touch()

    def swap(descriptor: int) -> None:
        path.rename(act.writable / "moved")
        path.symlink_to(precious)
        remove_contents(descriptor)

    monkeypatch.setattr(directories, "remove_contents", swap)
    assert "no longer there" in act("RemoveDir", str(path)).reason
    assert (precious / "file").exists()
    assert [] == list((act.writable / "moved").iterdir())
