from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from raqib.actions import created as made_module
from raqib.actions.created import CreatedDirectories, identify
from raqib.errors import RaqibError
from raqib.host.removal import MAX_DEPTH
from raqib.testing import make_detection, make_recipe
from tests.unit.actions.conftest import Acting, Change


def make(act: Acting, *pattern: str) -> Path:
    record = act("CreateTempDir", *pattern)
    assert "done" == record.decision, record.reason
    return Path(record.value)


def test_make_and_remove(act: Acting) -> None:
    path = make(act)
    assert (act.writable, 0o700) == (path.parent, path.stat().st_mode & 0o777)
    assert path.name.startswith("reaction-")
    (path / "a" / "b").mkdir(parents=True)
    (path / "a" / "file").write_text("x")
    (path / "a" / "link").symlink_to("/")
    os.mkfifo(path / "a" / "b" / "pipe")
    assert 0 == act("RemoveDir", str(path)).value
    assert not path.exists()
    assert "No such file" in act("RemoveDir", str(path)).reason


def test_patterns(act: Acting) -> None:
    assert make(act, "é x-*").name.startswith("é x-")
    assert make(act, f"{act.writable}/case-*").name.startswith("case-")
    assert make(act, "*").parent == act.writable
    for pattern in ("x", "*x", "a*b*", "a/b*", "../x*", "/etc/x*", "..*", f"{act.writable}/a/b*", "x" * 201 + "*"):
        assert "error" == act("CreateTempDir", pattern).decision, pattern


def test_only_what_was_made_is_removed(act: Acting, tmp_path: Path) -> None:
    other = act.writable / "reaction-0123456789abcdef"
    other.mkdir()
    for path in (other, tmp_path, act.places.data_dir, Path("/"), Path("/etc")):
        assert "refused" == act("RemoveDir", str(path)).decision
    path = make(act)
    for spelled in (f"{path}/", f"{path}/.", f"{path}/../{path.name}", f"/{path}", path.name):
        assert "refused" == act("RemoveDir", spelled).decision, spelled
    assert other.exists()
    assert path.exists()


def test_only_the_recipe_that_made_it_removes_it(act: Acting) -> None:
    path, evidence = make(act), Path(act("CollectEvidence").value)
    act.detection = make_detection(recipe=make_recipe("", name="another_recipe"))
    for directory in (path, evidence):
        record = act("RemoveDir", str(directory))
        assert ("refused", True) == (record.decision, "'test_recipe' created it" in record.reason), record.reason
        assert directory.exists()
    act.created = CreatedDirectories(act.places.data_dir / "directories.json")
    assert "refused" == act("RemoveDir", str(path)).decision
    act.detection = make_detection("")
    assert [0, 0] == [act("RemoveDir", str(directory)).value for directory in (path, evidence)]


def test_what_an_older_list_holds_belongs_to_no_recipe(act: Acting) -> None:
    path = make(act)
    listed = act.places.data_dir / "directories.json"
    entries = msgspec.json.decode(listed.read_bytes())
    listed.write_bytes(msgspec.json.encode({name: entry[:3] for name, entry in entries.items()}))
    act.created = CreatedDirectories(listed)
    assert "refused" == act("RemoveDir", str(path)).decision
    assert path.exists()


def test_raqibs_own_data_is_not_read(act: Acting) -> None:
    path = make(act)
    act("DataSet", "key", "value")
    data = act.places.data_dir
    (act.writable / "link").symlink_to(data / "directories.json")
    os.link(data / "directories.json", act.writable / "hard")
    by_descriptor = f"/proc/self/fd/{os.open(data / 'ledger.jsonl', os.O_RDONLY)}"
    own = [data / name for name in ("directories.json", "store.db", "store.db-wal", "ledger.jsonl")]
    for name in map(str, (*own, act.writable / "link", act.writable / "hard", by_descriptor)):
        for call in (("ReadFile", name), ("HashFile", name), ("CopyFile", name, str(path))):
            record = act(*call)
            assert ("refused", True) == (record.decision, "raqib's own" in record.reason), (call, record)
    os.close(int(by_descriptor.rpartition("/")[2]))
    evidence = act("CollectEvidence").value
    assert "done" == act("ReadFile", f"{evidence}/event.json").decision


def test_another_directory_of_the_same_name_is_not_removed(act: Acting) -> None:
    path = make(act)
    path.rename(path.with_name("elsewhere"))
    path.mkdir()
    (path / "precious").touch()
    assert "that CreateTempDir or CollectEvidence created" in act("RemoveDir", str(path)).reason
    assert (path / "precious").exists()


def test_identity_includes_the_birth(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    descriptor = os.open(tmp_path / "a", os.O_RDONLY)
    first = identify(descriptor)
    assert (first.device, first.inode) == ((status := os.fstat(descriptor)).st_dev, status.st_ino)
    assert first == identify(descriptor)
    os.close(descriptor)
    assert first.born_ns == 0 or 0 < first.born_ns < 1 << 62


def test_list_survives_a_restart(act: Acting) -> None:
    path = make(act)
    act.created = CreatedDirectories(act.places.data_dir / "directories.json")
    assert 0 == act("RemoveDir", str(path)).value
    assert {} == msgspec.json.decode((act.places.data_dir / "directories.json").read_bytes())


def test_list_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("[]")
    with pytest.raises(RaqibError, match="expected the list of created directories"):
        CreatedDirectories(tmp_path / "list")


def test_so_many_at_a_time(act: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_module, "MAX_DIRECTORIES", 2)
    first, second = make(act), make(act)
    assert "expected at most 2 directories at a time" in act("CreateTempDir").reason
    assert {first, second} == set(act.writable.iterdir())
    first.rmdir()
    make(act)


def test_one_recipe_leaves_room_for_the_others(act: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_module, "MAX_OF_ONE_RECIPE", 2)
    make(act), make(act)
    assert "expected at most 2 directories at a time that 'test_recipe' created" in act("CreateTempDir").reason
    act.detection = make_detection(recipe=make_recipe("", name="another_recipe"))
    make(act)


def test_depth_has_a_limit_and_nothing_is_removed_then(act: Acting) -> None:
    path = make(act)
    (path / "file").touch()
    descriptor = os.open(path, os.O_RDONLY)
    for _ in range(MAX_DEPTH + 1):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    record = act("RemoveDir", str(path))
    assert ("refused", True) == (record.decision, f"at most {MAX_DEPTH} directories" in record.reason)
    assert (path / "file").exists()


def test_free_space(act: Acting, configure: Change) -> None:
    configure(min_free_bytes=1 << 62)
    assert "bytes left" in act("CreateTempDir").reason
    assert [] == list(act.writable.iterdir())


def test_dry_run(act: Acting) -> None:
    path = make(act)
    act.dry_run = True
    assert ("would", 0) == ((record := act("RemoveDir", str(path))).decision, record.value)
    assert path.exists()
    record = act("CreateTempDir")
    assert "would" == record.decision
    assert not Path(record.value).exists()
    assert 0 == act("WriteFile", f"{record.value}/file", "x").value
    assert 0 == act("RemoveDir", record.value).value
    assert "error" == act("RemoveDir", record.value).decision
