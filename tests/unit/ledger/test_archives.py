from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest

from raqib.ledger import chain as ledger_module
from raqib.ledger import reading
from raqib.ledger.archives import archive_path, archives, files_of
from raqib.ledger.chain import Entry, Ledger, parse_head
from raqib.ledger.reading import Filter, LedgerReader, about_event, find
from raqib.ledger.verification import verify


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def fill(ledger: Ledger, count: int, action: str = "a") -> None:
    for _ in range(count):
        assert ledger.append(Entry(action=action, decision="done"))
        ledger.sync()


def numbers(path: Path) -> list[int]:
    reader = LedgerReader(path)
    found = [entry.seq for _, entry in reader.read()]
    reader.close()
    return found


def test_a_full_file_is_set_aside_and_the_chain_goes_on(path: Path) -> None:
    ledger = Ledger(path, max_bytes=500)
    fill(ledger, 20)
    head = ledger.head
    ledger.close()
    files = files_of(path)
    assert 3 < len(files)
    firsts = [msgspec.json.decode(file.read_bytes().split(b"\n")[0])["seq"] for file in files[:-1]]
    assert [archive_path(path, first) for first in firsts] == files[:-1]
    assert {0o600} == {file.stat().st_mode & 0o777 for file in files}
    result = verify(path, against=head)
    assert result.intact
    assert (20, len(files)) == (result.entries, result.files)
    assert list(range(1, 21)) == numbers(path)


@pytest.mark.parametrize("kept", [False, True])
def test_power_fails_right_after_the_file_was_set_aside(path: Path, kept: bool) -> None:
    """Its end had not reached the disk, nor had anything of the fresh file."""
    ledger = Ledger(path, max_bytes=500)
    fill(ledger, 20)
    ledger.close()
    torn = b'{"seq":21,"time":"20'
    path.write_bytes(b"")
    if not kept:
        path.unlink()
    with files_of(path)[-1 - kept].open("ab") as archive:
        archive.write(torn)
    ledger = Ledger(path)
    fill(ledger, 1, "afterwards")
    ledger.close()
    result = verify(path)
    assert result.intact, result.breaks
    entries = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    assert ["ledger_recovered", "afterwards"] == [entry["action"] for entry in entries]
    assert {"size": len(torn), "sha256": hashlib.sha256(torn).hexdigest()} == entries[0]["arguments"]


def test_it_is_set_aside_without_sync_once_it_is_twice_as_large(path: Path) -> None:
    ledger = Ledger(path, max_bytes=500)
    for _ in range(20):
        ledger.append(Entry(action="a", decision="done"))
    ledger.close()
    assert 2 <= len(files_of(path))
    assert verify(path).intact


def test_the_chain_goes_on_after_a_restart_with_an_empty_file(path: Path) -> None:
    ledger = Ledger(path, max_bytes=1)
    fill(ledger, 3)
    ledger.close()
    assert b"" == path.read_bytes()
    again = Ledger(path)
    fill(again, 1)
    again.close()
    assert [1, 2, 3, 4] == numbers(path)
    assert verify(path).intact


def test_a_crash_between_the_two_names_of_a_file(path: Path) -> None:
    ledger = Ledger(path, max_bytes=1 << 20)
    fill(ledger, 3)
    ledger.close()
    os.link(path, archive_path(path, 1))
    assert verify(path).intact
    again = Ledger(path, max_bytes=300)
    fill(again, 3)
    again.close()
    assert list(range(1, 7)) == numbers(path)
    assert verify(path).intact


def test_old_archives_go_and_the_ledger_vouches_for_them(path: Path) -> None:
    ledger = Ledger(path, max_bytes=300, keep=2)
    fill(ledger, 30)
    ledger.close()
    assert 3 == len(files_of(path))
    result = verify(path)
    assert result.intact
    assert result.entries < 30


def test_an_archive_that_somebody_removed_is_missed(path: Path) -> None:
    ledger = Ledger(path, max_bytes=300)
    fill(ledger, 20)
    ledger.close()
    first, second, *_ = files_of(path)
    content = second.read_bytes()
    second.unlink()
    (found,) = verify(path).breaks
    assert "removed" == found.what
    second.write_bytes(content)
    first.unlink()
    (found,) = verify(path).breaks
    assert "what was before is missing" in found.problem


def test_a_rotation_that_fails_stops_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", fail)
    ledger = Ledger(path, max_bytes=300)
    fill(ledger, 5)
    ledger.close()
    assert [path] == files_of(path)
    actions = [entry["action"] for entry in map(msgspec.json.decode, path.read_bytes().splitlines())]
    assert "ledger_not_rotated" in actions
    assert actions.count("ledger_not_rotated") < 5
    assert verify(path).intact


def test_another_process_cannot_take_the_file_that_was_set_aside(path: Path) -> None:
    ledger = Ledger(path, max_bytes=1)
    fill(ledger, 2)
    with pytest.raises(Exception, match="in use by another process"):
        Ledger(path)
    ledger.close()


def test_a_reader_follows_across_files(path: Path) -> None:
    ledger = Ledger(path, max_bytes=400)
    reader = LedgerReader(path)
    seen: list[int] = []
    for _ in range(10):
        fill(ledger, 3)
        seen += [entry.seq for _, entry in reader.read()]
    reader.close()
    ledger.close()
    assert list(range(1, 31)) == seen


def test_filter_and_find(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(
        Entry(action="KillCurrent", decision="done", recipe="miner", uuid="u1", time="2026-01-01T00:00:00.0Z")
    )
    ledger.append(Entry(action="DataSet", decision="would", recipe="other", uuid="u2", time="2026-01-02T00:00:00.0Z"))
    ledger.close()
    one, two = (found for seq in (1, 2) if (found := find(path, seq)) is not None)
    assert find(path, 3) is None
    for wanted, first, second in (
        (Filter(), True, True),
        (Filter(recipe="min*"), True, False),
        (Filter(action="Data*"), False, True),
        (Filter(decision="would"), False, True),
        (Filter(uuid="u1"), True, False),
        (Filter(since="2026-01-01T12"), False, True),
    ):
        assert (first, second) == (wanted.accepts(one), wanted.accepts(two))


def test_heads_are_read_as_they_are_written(path: Path) -> None:
    ledger = Ledger(path)
    fill(ledger, 1)
    assert ledger.head == parse_head(str(ledger.head))
    ledger.close()
    for wrong in ("", "1", "1:2", "x:" + "0" * 64, "1:" + "G" * 64):
        with pytest.raises(ValueError, match="expected SEQ:HASH"):
            parse_head(wrong)


def test_nobody_waits_for_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(path, max_bytes=1000, keep=2)
    slow: list[str] = []

    def watch(module: object, name: str) -> None:
        original = getattr(module, name)

        def call(*arguments: object, **options: object) -> object:
            # Taking off a name that is not there, or is new, takes no time.
            if name != "unlink" or Path(str(arguments[0])) in archives(path):
                assert not ledger._lock.locked(), f"{name} while the ledger is locked"
                slow.append(name)
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    watch(os, "fdatasync")
    watch(os, "fsync")
    watch(ledger_module, "last_line")
    watch(Path, "unlink")
    for _ in range(10):
        fill(ledger, 1)
        # Without a sync in between, it is set aside while a line is written.
        for _ in range(12):
            assert ledger.append(Entry(action="b", decision="done"))
    ledger.sync()
    monkeypatch.undo()
    ledger.close()
    assert {"fdatasync", "fsync", "last_line", "unlink"} == set(slow)
    assert 3 >= len(files_of(path))
    assert verify(path).intact


def test_a_file_set_aside_is_on_the_disk_when_sync_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[int] = set()

    def note(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fdatasync", note)
    ledger = Ledger(path, max_bytes=300)
    for _ in range(20):
        ledger.append(Entry(action="a", decision="done"))
    assert 2 < len(files_of(path))
    ledger.sync()
    assert synced >= {file.stat().st_ino for file in files_of(path) if file.stat().st_size}
    ledger.close()


_WRITER = """
import sys, threading
from pathlib import Path
from raqib.ledger.chain import Entry, Ledger

ledger = Ledger(Path(sys.argv[1]), max_bytes=2000, keep=5)

def sync():
    while True:
        ledger.sync()

threading.Thread(target=sync, daemon=True).start()
print("ready", flush=True)
while True:
    ledger.append(Entry(action="a", decision="done", reason="x" * 100))
"""


def test_the_chain_holds_after_a_kill_at_any_moment(path: Path) -> None:
    moments = random.Random(7)
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert b"ready\n" == writer.stdout.readline()
            time.sleep(moments.uniform(0.01, 0.1))
            writer.kill()
        Ledger(path).close()
        result = verify(path)
        assert result.intact, result.breaks
    assert 2 < len(files_of(path))


EVENT, OTHER_EVENT = "019c8f2e-1111-7abc-8def-b302099a8057", "019c8f2e-1111-7abc-8def-b302099a8058"


def test_what_was_done_about_an_event_is_found_in_older_files_too(path: Path) -> None:
    ledger = Ledger(path, max_bytes=500)
    for uuid in (EVENT, OTHER_EVENT) * 10:
        assert ledger.append(Entry(uuid=uuid, action="a", decision="done"))
        ledger.sync()
    ledger.close()
    assert 3 < len(files_of(path))
    for name in (EVENT, "b302099a8057"):
        assert list(range(1, 20, 2)) == [item.seq for item in about_event(path, name)]
    assert [] == about_event(path, "b302099a8059")


def test_files_from_before_the_event_are_not_searched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(path, max_bytes=500)
    fill(ledger, 20)
    now_ms = time.time_ns() // 10**6
    made = f"{now_ms + 7_200_000:012x}"
    uuid = f"{made[:8]}-{made[8:]}-7abc-8def-b302099a8057"
    assert ledger.append(Entry(uuid=uuid, action="a", decision="done"))
    ledger.close()
    read: list[str] = []
    about = reading._about

    def note(file: BinaryIO, name: str) -> tuple[str, list[Entry]]:
        read.append(file.name)
        return about(file, name)

    monkeypatch.setattr(reading, "_about", note)
    assert [21] == [item.seq for item in about_event(path, uuid)]
    assert [str(path)] == read


def test_a_file_that_is_set_aside_while_it_is_searched_counts_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(path, max_bytes=500)
    assert ledger.append(Entry(uuid=EVENT, action="a", decision="done"))
    about = reading._about

    def rotate(file: BinaryIO, name: str) -> tuple[str, list[Entry]]:
        monkeypatch.setattr(reading, "_about", about)
        fill(ledger, 10)
        return about(file, name)

    monkeypatch.setattr(reading, "_about", rotate)
    assert [1] == [item.seq for item in about_event(path, EVENT)]
    assert 1 < len(files_of(path))
    ledger.close()
