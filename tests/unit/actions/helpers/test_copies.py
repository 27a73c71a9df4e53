from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from raqib.model.process import ProcessKey
from raqib.testing import live_process, make_detection
from tests.unit.actions.conftest import Acting, Change


@pytest.fixture
def deleted(act: Acting, tmp_path: Path) -> Iterator[str]:
    """The hash of a program that runs and is deleted; the event is about it."""
    program = tmp_path / "program"
    shutil.copy("/bin/sleep", program)
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    with subprocess.Popen([program, "60"]) as process:
        program.unlink()
        act.detection = make_detection("", ancestry=[live_process(process.pid)])
        yield digest
        process.kill()


def test_hash_file(act: Acting, tmp_path: Path, configure: Change) -> None:
    (tmp_path / "file").write_bytes(b"\xff\0x")
    record = act("HashFile", str(tmp_path / "file"))
    assert hashlib.sha256(b"\xff\0x").hexdigest() == record.value
    assert 3 == act.entries[-1]["arguments"]["size"]
    (tmp_path / "empty").touch()
    assert hashlib.sha256().hexdigest() == act("HashFile", str(tmp_path / "empty")).value
    configure(max_hash_bytes=2)
    assert "expected at most 2 bytes" in act("HashFile", str(tmp_path / "file")).reason


def test_hash_of_a_deleted_program(act: Acting, deleted: str) -> None:
    assert deleted == act("HashFile", "exe").value


def test_hash_of_a_program_whose_process_is_gone(act: Acting, deleted: str) -> None:
    process = act.detection.process
    earlier = msgspec.structs.replace(process, key=ProcessKey(process.pid, process.key.start_ns - 50_000_000))
    act.detection = make_detection("", ancestry=[earlier])
    assert f"pid {process.pid} is already gone" == act("HashFile", "exe").reason
    act.detection = make_detection("")
    assert "the event has no process" == act("HashFile", "exe").reason


def test_copy_file(act: Acting, tmp_path: Path, configure: Change) -> None:
    source = tmp_path / "sour ce"
    source.write_bytes(b"\xff\0x")
    source.chmod(0o755)
    for directory in (act.writable / "new" / "er", f"{act.writable}/slash/"):
        assert 0 == act("CopyFile", str(source), str(directory)).value
        copy = Path(directory) / "sour ce"
        assert (b"\xff\0x", 0o600) == (copy.read_bytes(), copy.stat().st_mode & 0o777)
    assert hashlib.sha256(b"\xff\0x").hexdigest() == act.entries[-1]["arguments"]["sha256"]
    configure(max_copy_bytes=2)
    assert "expected at most 2 bytes" in act("CopyFile", str(source), str(act.writable)).reason
    assert {"new", "slash"} == {path.name for path in act.writable.iterdir()}


def test_copy_reads_procfs(act: Acting) -> None:
    assert 0 == act("CopyFile", "/proc/self/cmdline", str(act.writable)).value
    assert Path("/proc/self/cmdline").read_bytes() == (act.writable / "cmdline").read_bytes()


def test_copy_goes_below_the_write_paths_only(act: Acting, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.touch()
    for target in (tmp_path, "/etc", f"{act.writable}/../x", "relative", act.places.data_dir, "/"):
        assert "refused" == act("CopyFile", str(source), str(target)).decision, target
    for odd in ("/", f"{tmp_path}/..", str(tmp_path)):
        assert act("CopyFile", odd, str(act.writable)).decision in ("refused", "error")
    (act.writable / "link").symlink_to(tmp_path)
    assert "symbolic link" in act("CopyFile", str(source), f"{act.writable}/link").reason


def test_copy_onto_what_is_no_file(act: Acting, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(act.writable / "file")
    assert "expected a regular file or none" in act("CopyFile", str(tmp_path / "file"), str(act.writable)).reason


def test_dry_run_copies_nothing(act: Acting, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    act.dry_run = True
    assert "would" == act("CopyFile", str(tmp_path / "file"), str(act.writable)).decision
    assert [] == list(act.writable.iterdir())


def test_copies_never_replace_raqibs_own_files(act: Acting, tmp_path: Path, configure: Change) -> None:
    (tmp_path / "events.jsonl").write_text("forged")
    (act.writable / "events.jsonl").write_text("event\n")
    configure(own_paths=(act.writable / "events.jsonl",))
    for act.dry_run in (False, True):
        assert "refused" == act("CopyFile", str(tmp_path / "events.jsonl"), str(act.writable)).decision
    act.dry_run = False
    collected = act("CollectEvidence").value
    assert "refused" == act("CopyFile", str(tmp_path / "events.jsonl"), collected).decision
    assert "event\n" == (act.writable / "events.jsonl").read_text()
