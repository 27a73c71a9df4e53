from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.errors import RaqibError
from raqib.ledger import chain as ledger_module
from raqib.ledger.chain import NO_HASH, Entry, Head, Ledger
from raqib.ledger.verification import verify


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def write(path: Path, *actions: str) -> Head:
    ledger = Ledger(path)
    for action in actions:
        assert ledger.append(Entry(action=action, decision="done"))
    ledger.sync()
    head = ledger.head
    ledger.close()
    return head


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_lines_are_numbered_and_chained(path: Path) -> None:
    head = write(path, "a", "b", "c")
    entries = [msgspec.json.decode(line, type=Entry) for line in lines_of(path)]
    assert [entry.seq for entry in entries] == [1, 2, 3]
    assert entries[0].prev == NO_HASH
    assert head.seq == 3
    result = verify(path)
    assert result.intact
    assert (result.entries, result.head) == (3, head)


def test_file_is_private(path: Path) -> None:
    write(path, "a")
    assert path.stat().st_mode & 0o777 == 0o600


def test_chain_goes_on_after_a_restart(path: Path) -> None:
    write(path, "a", "b")
    assert write(path, "c").seq == 3
    assert verify(path).intact


def test_long_lines_are_found_again(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(Entry(action="long", decision="done", reason="x" * 200_000))
    ledger.close()
    assert write(path, "next").seq == 2
    assert verify(path).intact


@pytest.mark.parametrize("kept", [0, 1, 40])
def test_torn_last_line_is_cut_off_and_said(path: Path, kept: int) -> None:
    write(path, "a", "b", "c")
    whole = lines_of(path)
    torn = whole[2][:kept]
    path.write_bytes(b"".join(whole[:2]) + torn)
    assert write(path, "d").seq == (4 if kept else 3)
    actions = [msgspec.json.decode(line)["action"] for line in lines_of(path)]
    assert actions == (["a", "b", "ledger_recovered", "d"] if kept else ["a", "b", "d"])
    assert verify(path).intact


def test_damaged_last_line_does_not_stop_the_ledger(path: Path) -> None:
    write(path, "a", "b")
    path.write_bytes(lines_of(path)[0] + b"garbage\n")
    assert write(path, "c").seq == 4
    assert [found.line for found in verify(path).breaks] == [2]


def _change(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"b"', b'"B"'), *lines[2:]]


def _remove(lines: list[bytes]) -> list[bytes]:
    return lines[:1] + lines[2:]


def _remove_first(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def _insert(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[1], *lines[2:]]


def _swap(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], lines[3]]


@pytest.mark.parametrize("tamper", [_change, _remove, _remove_first, _insert, _swap])
def test_tampering_is_found(path: Path, tamper: Callable[[list[bytes]], list[bytes]]) -> None:
    write(path, "a", "b", "c", "d")
    path.write_bytes(b"".join(tamper(lines_of(path))))
    result = verify(path)
    assert not result.intact
    assert result.breaks[0].line in (1, 2, 3)


def test_a_cut_end_is_found_against_a_head(path: Path) -> None:
    head = write(path, "a", "b", "c")
    assert verify(path, against=head).intact
    path.write_bytes(b"".join(lines_of(path)[:2]))
    assert verify(path).intact
    (found,) = verify(path, against=head).breaks
    assert "no such line" in found.problem


def test_a_rewritten_ledger_is_found_against_a_head(path: Path) -> None:
    head = write(path, "a", "b")
    path.unlink()
    write(path, "a", "c")
    (found,) = verify(path, against=head).breaks
    assert "another line of that number" in found.problem


@given(position=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_any_changed_byte_is_found_against_the_head(
    tmp_path_factory: pytest.TempPathFactory, position: float, byte: int
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    head = write(path, "a", "b", "c")
    content = bytearray(path.read_bytes())
    index = int(position * len(content))
    if content[index] == byte:
        return
    content[index] = byte
    path.write_bytes(content)
    assert not verify(path, against=head).intact


def test_second_process_is_told(path: Path) -> None:
    ledger = Ledger(path)
    with pytest.raises(RaqibError, match="in use by another process"):
        Ledger(path)
    ledger.close()


def test_what_cannot_be_written_is_kept(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(Entry(action="a", decision="done"))
    working, ledger._fd = ledger._fd, os.open("/dev/full", os.O_WRONLY)
    assert not ledger.append(Entry(action="b", decision="done"))
    assert not ledger.writable()
    assert "No space left" in ledger.failure
    os.close(ledger._fd)
    ledger._fd = working
    assert ledger.writable()
    assert ledger.failure == ""
    ledger.close()
    assert [msgspec.json.decode(line)["action"] for line in lines_of(path)] == ["a", "b"]
    assert verify(path).intact


def test_what_cannot_be_encoded_stops_nothing(path: Path) -> None:
    ledger = Ledger(path)
    assert ledger.append(Entry(action="a", decision="done", reason="\ud800"))
    assert ledger.append(Entry(action="b", decision="done", result=object()))
    assert ledger.append(Entry(action="c", decision="done"))
    ledger.close()
    assert [msgspec.json.decode(line)["action"] for line in lines_of(path)] == ["'a'", "'b'", "c"]
    assert verify(path).intact


def test_link_is_not_followed(tmp_path: Path, path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Ledger(path)


def test_it_recovers_by_itself_when_all_that_can_be_kept_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_BACKLOG", 3)
    ledger = Ledger(path)
    working, ledger._fd = ledger._fd, os.open("/dev/full", os.O_WRONLY)
    for action in "abcde":
        assert not ledger.append(Entry(action=action, decision="done"))
    os.close(ledger._fd)
    ledger._fd = working
    assert ledger.append(Entry(action="f", decision="done"))
    assert ledger.failure == ""
    ledger.close()
    actions = [msgspec.json.decode(line)["action"] for line in lines_of(path)]
    assert actions == ["a", "b", "c", "ledger_lost", "f"]
    assert verify(path).intact


def test_what_waits_is_written_at_the_next_sync(path: Path) -> None:
    ledger = Ledger(path)
    working, ledger._fd = ledger._fd, os.open("/dev/full", os.O_WRONLY)
    assert not ledger.append(Entry(action="a", decision="done"))
    os.close(ledger._fd)
    ledger._fd = working
    ledger.sync()
    assert ledger.failure == ""
    assert [msgspec.json.decode(line)["action"] for line in lines_of(path)] == ["a"]
    ledger.close()
