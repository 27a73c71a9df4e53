from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from io import FileIO
from typing import Any

import pytest

from raqib.model.event import Event, ProcessInfo, encode
from raqib.printers import Pretty, Printers, StdoutPrinter

MakeEvent = Callable[..., Event]


class Pipe:
    """A pipe whose ends can be closed early without closing anything else later."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        self._files = FileIO(reader, "rb"), FileIO(writer, "wb")
        self.reader, self.writer = reader, writer

    def close_reader(self) -> None:
        self._files[0].close()

    def close_writer(self) -> None:
        self._files[1].close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = Pipe()
    yield ends
    ends.close_reader()
    ends.close_writer()


def test_a_pipe_gets_json_lines(pipe: Pipe, make_event: MakeEvent) -> None:
    printer = StdoutPrinter(fd=pipe.writer)
    events = [make_event(number) for number in range(3)]
    for event in events:
        printer.print(event, encode(event))
    assert b"".join(encode(event) + b"\n" for event in events) == os.read(pipe.reader, 65536)


@pytest.mark.parametrize("problem", [None, errno.EOPNOTSUPP, errno.EAGAIN])
def test_an_event_larger_than_the_pipe_arrives_whole(
    pipe: Pipe, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch, problem: int | None
) -> None:
    """Whether the kernel can write without waiting or not, and also if somebody else fills the pipe between."""
    writes: list[int] = []

    def pwritev(fd: int, buffers: list[memoryview], offset: int, flags: int) -> int:
        writes.append(len(buffers[0]))
        if problem is not None and len(writes) == 1:
            raise OSError(problem, os.strerror(problem))
        return os.writev(fd, [buffers[0][: os.fpathconf(fd, "PC_PIPE_BUF")]])

    if problem is not None:
        monkeypatch.setattr(os, "pwritev", pwritev)
    event = make_event(process=ProcessInfo(cmd="x" * (1 << 20)))
    printer = StdoutPrinter(fd=pipe.writer)
    writing = threading.Thread(target=printer.print, args=(event, encode(event)))
    writing.start()
    expected = encode(event) + b"\n"
    got = b""
    while len(got) < len(expected):
        got += os.read(pipe.reader, 1 << 20)
    writing.join()
    assert expected == got
    assert problem is None or (len(writes) == 1) == (problem == errno.EOPNOTSUPP)


def test_an_event_takes_few_writes(pipe: Pipe, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a chance to lose the interpreter to another thread, for milliseconds."""
    if not _nowait_is_known(pipe.writer):
        pytest.skip("this kernel cannot write into a pipe without waiting")
    writes: list[int] = []
    real = os.pwritev

    def counted(*arguments: Any) -> int:
        writes.append(1)
        return real(*arguments)

    monkeypatch.setattr(os, "pwritev", counted)
    event = make_event(process=ProcessInfo(cmd="x" * 50_000))
    StdoutPrinter(fd=pipe.writer).print(event, encode(event))
    assert [1] == writes
    assert encode(event) + b"\n" == os.read(pipe.reader, 1 << 17)


def _nowait_is_known(fd: int) -> bool:
    try:
        return os.pwritev(fd, [b""], -1, os.RWF_NOWAIT) == 0
    except OSError:
        return False


def test_a_terminal_gets_lines_for_people(make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = os.openpty()
    event = make_event(process=ProcessInfo(exe="/tmp/\x1b]0;owned\x07", pid=42))
    StdoutPrinter(fd=terminal).print(event, encode(event))
    text = os.read(controller, 65536)
    assert b"LOW" in text
    assert rb"/tmp/\x1b]0;owned\x07" in text
    assert b"\x1b]" not in text
    assert b"\x07" not in text
    os.close(controller)
    os.close(terminal)


def test_a_terminal_gets_escaped_json_if_raw(make_event: MakeEvent) -> None:
    controller, terminal = os.openpty()
    event = make_event(note="\x1b[2J\x9b2J\x7f\u202e")
    StdoutPrinter(fd=terminal, raw=True).print(event, encode(event))
    text = os.read(controller, 65536).removesuffix(b"\r\n")
    assert text.isascii()
    assert text.decode().isprintable()
    assert event.note == json.loads(text)["note"]
    os.close(controller)
    os.close(terminal)


def test_a_full_pipe_keeps_every_line_whole(pipe: Pipe, make_event: MakeEvent) -> None:
    events = [make_event(number, note="x" * 300_000) for number in range(10)]
    printers = Printers([StdoutPrinter(fd=pipe.writer)], full=True)
    printers.start()
    for event in events:
        printers.submit(event, encode(event))
    expected = b"".join(encode(event) + b"\n" for event in events)
    got = b""
    while len(got) < len(expected):
        got += os.read(pipe.reader, 65536)
    assert expected == got
    printers.close()


def test_a_full_pipe_that_nobody_reads_does_not_hold_back_the_end(pipe: Pipe, make_event: MakeEvent) -> None:
    printers = Printers([StdoutPrinter(fd=pipe.writer)], full=True)
    printers.start()
    for number in range(10):
        printers.submit(make_event(number, note="x" * 300_000), b"x" * 300_000)
    printers.close(timeout_s=0.1)
    counts = printers.counts["stdout"]
    assert 1 == counts.failed
    assert 10 == counts.written + counts.failed + counts.dropped


def test_a_pipe_without_reader_is_a_failure_each_time(pipe: Pipe, make_event: MakeEvent) -> None:
    pipe.close_reader()
    printers = Printers([StdoutPrinter(fd=pipe.writer)], full=True)
    printers.start()
    for number in range(3):
        printers.submit(make_event(number), b"{}")
    printers.close()
    assert 3 == printers.counts["stdout"].failed


def test_a_reader_that_leaves_in_the_middle_of_a_line_is_a_failure(pipe: Pipe, make_event: MakeEvent) -> None:
    printers = Printers([StdoutPrinter(fd=pipe.writer)], full=True)
    printers.start()
    printers.submit(make_event(), b"x" * 2_000_000)
    assert b"x" == os.read(pipe.reader, 1)
    pipe.close_reader()
    printers.close()
    assert (0, 1) == (printers.counts["stdout"].written, printers.counts["stdout"].failed)


def test_a_closed_descriptor_is_a_failure(pipe: Pipe, make_event: MakeEvent) -> None:
    pipe.close_writer()
    printer = StdoutPrinter(fd=pipe.writer)
    with pytest.raises(OSError, match="closed when raqib started") as error:
        printer.print(make_event(), b"{}")
    assert errno.EBADF == error.value.errno


def test_what_comes_later_under_the_same_number_is_not_written_to(pipe: Pipe, make_event: MakeEvent) -> None:
    reader, writer = os.pipe()
    printer = StdoutPrinter(fd=writer)
    os.close(writer)
    os.dup2(pipe.writer, writer)
    printer.print(make_event(), b"{}")
    assert b"{}\n" == os.read(reader, 100)
    os.close(reader)
    os.close(writer)


def test_pretty_can_be_asked_for(pipe: Pipe, make_event: MakeEvent) -> None:
    event = make_event()
    StdoutPrinter(fd=pipe.writer, pretty=Pretty()).print(event, encode(event))
    assert Pretty().render(event).encode() == os.read(pipe.reader, 65536)
