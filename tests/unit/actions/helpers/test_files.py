from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.actions.conftest import Acting, Change


def test_read_file(act: Acting, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"text \xff\n")
    record = act("ReadFile", str(path))
    assert (record.decision, record.value, record.reason) == ("done", "text �\n", "")
    assert act.entries[-1]["result"]["size"] == len("text �\n".encode())
    assert "text" not in str(act.entries[-1])


def test_read_empty_file(act: Acting, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    record = act("ReadFile", str(tmp_path / "file"))
    assert (record.decision, record.value, record.reason) == ("done", "", "")


def test_read_proc_file(act: Acting) -> None:
    assert act("ReadFile", "/proc/self/comm").value == Path("/proc/self/comm").read_text()


def test_read_limit(act: Acting, tmp_path: Path, configure: Change) -> None:
    configure(max_read_bytes=10)
    (tmp_path / "ten").write_text("x" * 10)
    (tmp_path / "eleven").write_text("x" * 11)
    assert act("ReadFile", str(tmp_path / "ten")).value == "x" * 10
    record = act("ReadFile", str(tmp_path / "eleven"))
    assert record.decision == "error"
    assert "expected at most 10 bytes" in record.reason


def test_read_takes_regular_files_only(act: Acting, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), "/dev/zero", str(tmp_path)):
        record = act("ReadFile", path)
        assert (record.decision, record.value) == ("error", None)
        assert "expected a regular file" in record.reason
    assert "No such file" in act("ReadFile", str(tmp_path / "none")).reason


def test_write_file(act: Acting) -> None:
    path = act.writable / "new" / "deeper" / "file"
    assert act("WriteFile", str(path), "text").value == 0
    assert path.read_text() == "text"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700
    assert act.entries[-1]["arguments"]["path"] == str(path)
    assert act.entries[-1]["arguments"]["text"]["size"] == 4


def test_write_replaces_atomically(act: Acting) -> None:
    path = act.writable / "file"
    path.write_text("old")
    path.chmod(0o644)
    held = path.open()
    assert act("WriteFile", str(path), "").value == 0
    assert path.read_text() == ""
    assert held.read() == "old"
    held.close()
    assert list(act.writable.iterdir()) == [path]


def test_write_does_not_reach_through_a_hard_link(act: Acting, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (act.writable / "link").hardlink_to(precious)
    assert act("WriteFile", str(act.writable / "link"), "x").value == 0
    assert precious.read_text() == "precious"


def test_append_does_not_reach_through_a_hard_link(act: Acting, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (act.writable / "link").hardlink_to(precious)
    record = act("AppendFile", str(act.writable / "link"), "x")
    assert "several (hard links)" in record.reason
    assert precious.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the file must be another user's")
def test_append_does_not_take_what_others_laid_out(act: Acting) -> None:
    path = act.writable / "laid-out"
    path.touch()
    os.chown(path, 65534, 65534)
    assert act("AppendFile", str(path), "x").value == 0
    act.writable.chmod(0o1777)
    record = act("AppendFile", str(path), "y")
    assert record.decision == "error"
    assert path.read_text() == "x"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of others")
@pytest.mark.parametrize(("owner", "group", "mode"), [(65534, 0, 0o755), (0, 65534, 0o775), (0, 0, 0o777)])
def test_append_does_not_trust_files_where_others_can_lay_them(act: Acting, owner: int, group: int, mode: int) -> None:
    directory = act.writable / "theirs"
    directory.mkdir()
    (directory / "laid").touch()
    os.chown(directory / "laid", 65534, 65534)
    os.chown(directory, owner, group)
    directory.chmod(mode)
    assert "a file of one's own" in act("AppendFile", str(directory / "laid"), "secret").reason
    assert b"" == (directory / "laid").read_bytes()
    assert [0, 0] == [act("AppendFile", str(directory / "own"), "x").value for _ in range(2)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of others")
def test_append_to_a_file_of_others_that_root_alone_laid(act: Acting) -> None:
    (act.writable / "log").touch()
    os.chown(act.writable / "log", 65534, 65534)
    assert 0 == act("AppendFile", str(act.writable / "log"), "x").value


def test_append_file(act: Acting, configure: Change) -> None:
    path = act.writable / "file"
    assert [act("AppendFile", str(path), text).value for text in ("one", "two")] == [0, 0]
    assert path.read_text() == "onetwo"
    assert path.stat().st_mode & 0o777 == 0o600
    configure(max_appended_bytes=8)
    assert "expected at most 8 bytes in the file" in act("AppendFile", str(path), "three").reason


@pytest.mark.parametrize("helper", ["WriteFile", "AppendFile"])
class TestWriting:
    def test_links_are_not_followed(self, act: Acting, tmp_path: Path, helper: str) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (act.writable / "directory").symlink_to(outside)
        (outside / "target").touch()
        (act.writable / "file").symlink_to(outside / "target")
        (act.writable / "dangling").symlink_to(outside / "new")
        for name in ("directory/x", "file", "dangling"):
            record = act(helper, str(act.writable / name), "text")
            assert record.decision == "error"
            assert "symbolic link" in record.reason
        assert [outside / "target"] == list(outside.iterdir())
        assert (outside / "target").read_text() == ""

    @pytest.mark.parametrize(
        "path",
        [
            "relative",
            "/etc/x",
            "{w}/../x",
            "{w}/a/../../x",
            "{w}/./x",
            "{w}",
            "{w}/",
            "{w}x/y",
            "//etc/x",
            "/",
            "{w}/a/",
        ],
    )
    def test_only_below_the_paths_given(self, act: Acting, helper: str, path: str) -> None:
        record = act(helper, path.format(w=act.writable), "text")
        assert record.decision == "refused"
        assert "expected a" in record.reason
        assert act.entries[-1]["decision"] == "refused"

    def test_regular_files_only(self, act: Acting, helper: str) -> None:
        os.mkfifo(act.writable / "pipe")
        (act.writable / "directory").mkdir()
        for name in ("pipe", "directory"):
            assert "expected a regular file or none" in act(helper, str(act.writable / name), "x").reason

    def test_never_raqibs_own_files(self, act: Acting, helper: str, configure: Change, tmp_path: Path) -> None:
        configure(write_paths=(str(tmp_path),))
        before = act.ledger_path.read_bytes()
        for name in ("ledger.jsonl", "store.db", "new", "directory/new"):
            record = act(helper, str(act.places.data_dir / name), "x")
            assert record.decision in ("refused", "error")
        assert act.ledger_path.read_bytes().startswith(before)
        assert not (act.places.data_dir / "new").exists()
        assert not (act.places.data_dir / "directory").exists()
        assert act(helper, str(act.places.evidence_dir / "case" / "note"), "x").value == 0

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_never_raqibs_own_logs(
        self, act: Acting, helper: str, configure: Change, tmp_path: Path, dry_run: bool
    ) -> None:
        logs = act.writable / "logs"
        logs.mkdir()
        (logs / "events.jsonl").write_text("event\n")
        (tmp_path / "other_name").symlink_to(logs)
        other = tmp_path / "other_name"
        configure(own_paths=(other / "events.jsonl", other / "events.jsonl.1", act.writable / "none" / "raqib.log"))
        act.dry_run = dry_run
        for name in (
            "logs/events.jsonl",
            "logs/events.jsonl.1",
            "logs/events.jsonl.1/new",
            "none/raqib.log",
            "none/raqib.log/new",
        ):
            record = act(helper, str(act.writable / name), "x")
            assert ("refused", "raqib's own files are never written") == (record.decision, record.reason), name
        assert [logs / "events.jsonl"] == list(logs.iterdir())
        assert "event\n" == (logs / "events.jsonl").read_text()
        assert not (act.writable / "none").exists()
        for name in ("logs/events.jsonl.old", "logs/case/events.jsonl", "none/other.log"):
            assert 0 == act(helper, str(act.writable / name), "x").value

    def test_nothing_within_an_own_directory(self, act: Acting, helper: str, configure: Change, tmp_path: Path) -> None:
        (act.writable / "own").mkdir()
        (tmp_path / "other_name").symlink_to(act.writable)
        configure(own_paths=(tmp_path / "other_name" / "own",))
        assert "refused" == act(helper, str(act.writable / "own" / "file"), "x").decision
        assert [] == list((act.writable / "own").iterdir())

    def test_evidence_is_never_changed(self, act: Acting, helper: str) -> None:
        evidence = act.places.evidence_dir
        collected = act("CollectEvidence").value
        before = {file.name: file.read_bytes() for file in Path(collected).iterdir()}
        for name in ("manifest.json", "event.json", "new", "below/new"):
            record = act(helper, f"{collected}/{name}", "x")
            assert ("refused", "evidence that was collected is never changed") == (record.decision, record.reason)
        assert before == {file.name: file.read_bytes() for file in Path(collected).iterdir()}
        # Where there is no evidence there is nothing to keep, and a list above it is none of it.
        assert [0, 0] == [act(helper, str(evidence / name), "x").value for name in ("manifest.json", "case/note")]
        assert "done" == act("CollectEvidence").decision

    def test_size(self, act: Acting, helper: str, configure: Change) -> None:
        configure(max_write_bytes=3)
        assert act(helper, str(act.writable / "file"), "123").value == 0
        record = act(helper, str(act.writable / "file"), "äö")
        assert "expected at most 3 bytes, got 4" in record.reason

    def test_free_space(self, act: Acting, helper: str, configure: Change) -> None:
        configure(min_free_bytes=1 << 62)
        assert "bytes left" in act(helper, str(act.writable / "file"), "x").reason
        assert list(act.writable.iterdir()) == []

    def test_dry_run(self, act: Acting, helper: str) -> None:
        act.dry_run = True
        record = act(helper, str(act.writable / "new" / "file"), "x")
        assert (record.decision, record.value) == ("would", 0)
        assert list(act.writable.iterdir()) == []
        (act.writable / "link").symlink_to("/")
        assert "symbolic link" in act(helper, str(act.writable / "link" / "x"), "x").reason


@pytest.mark.parametrize("limit", ["min_free_bytes", "min_free_inodes"])
def test_no_directory_is_made_without_room(act: Acting, configure: Change, tmp_path: Path, limit: str) -> None:
    configure(**{limit: 1 << 62})
    (tmp_path / "file").touch()
    calls = (("WriteFile", f"{act.writable}/a/b", "x"), ("AppendFile", f"{act.writable}/c/d", "x"))
    for call in (*calls, ("CopyFile", str(tmp_path / "file"), f"{act.writable}/e"), ("CreateTempDir",)):
        record = act(*call)
        assert ("error", True) == (record.decision, "left" in record.reason), (call, record)
    assert "left" in act("CollectEvidence").reason
    assert [] == [*act.writable.iterdir(), *act.places.evidence_dir.iterdir()]


def test_stat(act: Acting, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("12345")
    path.chmod(0o640)
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    assert act("Stat", str(path)).value == {
        "size": 5,
        "mode": "-rw-r-----",
        "modTime": "2023-11-14T22:13:20.123456789Z",
        "isDir": False,
    }
    assert act("Stat", str(tmp_path)).value["isDir"] is True
    assert "No such file" in act("Stat", str(tmp_path / "none")).reason
