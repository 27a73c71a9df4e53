from __future__ import annotations

import os
import resource
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raqib.errors import RaqibError
from raqib.model.event import Event
from raqib.printers import VarlogPrinter

MakeEvent = Callable[..., Event]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "raqib/events.jsonl"


@pytest.fixture
def event(make_event: MakeEvent) -> Event:
    return make_event()


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("strict_umask")
def test_the_file_is_for_root_and_its_group(path: Path) -> None:
    VarlogPrinter(path).close()
    assert 0o640 == stat.S_IMODE(path.stat().st_mode)
    assert 0 == stat.S_IMODE(path.parent.stat().st_mode) & ~0o750


def test_the_directory_is_for_root_and_its_group(path: Path) -> None:
    VarlogPrinter(path).close()
    assert 0o750 == stat.S_IMODE(path.parent.stat().st_mode)


def test_every_event_is_in_the_file_at_once(path: Path, event: Event) -> None:
    printer = VarlogPrinter(path)
    printer.print(event, b"1")
    assert b"1\n" == path.read_bytes()
    printer.print(event, b"2")
    assert b"1\n2\n" == path.read_bytes()


def test_an_earlier_file_is_continued(path: Path, event: Event) -> None:
    for line in (b"1", b"2"):
        printer = VarlogPrinter(path)
        printer.print(event, line)
        printer.close()
    assert b"1\n2\n" == path.read_bytes()


def test_a_line_that_a_crash_cut_off_does_not_spoil_the_next(path: Path, event: Event) -> None:
    path.parent.mkdir()
    path.write_bytes(b'1\n{"uu')
    VarlogPrinter(path).print(event, b"2")
    assert b'1\n{"uu\n2\n' == path.read_bytes()


def test_rotation_keeps_as_many_as_asked(path: Path, event: Event) -> None:
    printer = VarlogPrinter(path, max_bytes=8, keep=2)
    for number in range(10, 19):
        printer.print(event, str(number).encode())
    contents = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert {
        "events.jsonl": b"18\n",
        "events.jsonl.1": b"16\n17\n",
        "events.jsonl.2": b"14\n15\n",
    } == contents
    assert 0o640 == stat.S_IMODE(path.stat().st_mode)


def test_an_event_larger_than_a_file_is_written_whole(path: Path, event: Event) -> None:
    printer = VarlogPrinter(path, max_bytes=8, keep=1)
    printer.print(event, b"x" * 100)
    printer.print(event, b"y")
    assert b"x" * 100 + b"\n" == path.with_name("events.jsonl.1").read_bytes()
    assert b"y\n" == path.read_bytes()


def test_a_log_that_cannot_be_rotated_grows(path: Path, event: Event, capsys: pytest.CaptureFixture[str]) -> None:
    printer = VarlogPrinter(path, max_bytes=4, keep=1)
    (path.parent / "events.jsonl.1").mkdir()
    for line in (b"11", b"22", b"33"):
        printer.print(event, line)
    assert b"11\n22\n33\n" == path.read_bytes()
    output = capsys.readouterr()
    assert 1 == (output.out + output.err).count("event log rotation failed")


def test_renaming_from_outside_begins_a_new_file(path: Path, event: Event) -> None:
    printer = VarlogPrinter(path)
    printer.print(event, b"1")
    path.rename(path.with_suffix(".old"))
    printer.print(event, b"2")
    assert b"1\n" == path.with_suffix(".old").read_bytes()
    assert b"2\n" == path.read_bytes()


def test_a_new_file_from_outside_is_continued(path: Path, event: Event) -> None:
    printer = VarlogPrinter(path)
    printer.print(event, b"1")
    path.rename(path.with_suffix(".old"))
    path.touch(0o600)
    printer.print(event, b"2")
    assert b"2\n" == path.read_bytes()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_truncating_from_outside_leaves_no_hole(path: Path, event: Event) -> None:
    printer = VarlogPrinter(path)
    printer.print(event, b"1")
    os.truncate(path, 0)
    printer.print(event, b"2")
    assert b"2\n" == path.read_bytes()


def test_a_removed_directory_is_made_again(path: Path, event: Event) -> None:
    printer = VarlogPrinter(path)
    path.unlink()
    path.parent.rmdir()
    printer.print(event, b"1")
    assert b"1\n" == path.read_bytes()


@pytest.fixture
def limit_file_size() -> Iterator[Callable[[int], None]]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size if size >= 0 else before[0], before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_halfway_does_not_spoil_the_next(
    path: Path, event: Event, limit_file_size: Callable[[int], None]
) -> None:
    printer = VarlogPrinter(path)
    limit_file_size(10)
    try:
        with pytest.raises(OSError, match="too large"):
            printer.print(event, b"a" * 20)
    finally:
        limit_file_size(-1)
    assert b"a" * 10 == path.read_bytes()
    printer.print(event, b"b")
    assert b"a" * 10 + b"\nb\n" == path.read_bytes()


def test_a_fifo_is_refused(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(RaqibError, match="expected a regular file"):
        VarlogPrinter(path)


def test_a_link_is_refused(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    path.parent.mkdir()
    path.symlink_to(target)
    with pytest.raises(RaqibError, match="symbolic link"):
        VarlogPrinter(path)
    assert b"" == target.read_bytes()


@pytest.mark.parametrize("arguments", [{"max_bytes": 0}, {"keep": 0}])
def test_limits_are_positive(path: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        VarlogPrinter(path, **arguments)
