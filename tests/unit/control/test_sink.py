from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from raqib.control.sink import MOST_BYTES, Sink


class Pipe:
    """A full pipe: nobody reads it until the test does."""

    def __init__(self) -> None:
        self.read_end, write_end = os.pipe()
        self.size = fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
        self.file: TextIO = os.fdopen(write_end, "w")
        os.write(write_end, b"." * (self.size - 1) + b"\n")

    def read_until(self, end: bytes) -> list[str]:
        read = b""
        while not read.endswith(end):
            read += os.read(self.read_end, 1 << 16)
        return read.decode().splitlines()[1:]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.file.close()
    os.close(made.read_end)


def test_nobody_waits_and_what_is_missing_is_told_in_its_place(pipe: Pipe) -> None:
    sink = Sink(pipe.file, lambda count: sink.write(f"{count} missing\n"))
    fits = MOST_BYTES // 1000
    for number in range(fits + 7):
        sink.write(f"{number:999}\n")
    assert not sink.wait_written(0)
    lines = pipe.read_until(b"missing\n")
    assert [*(f"{number:999}" for number in range(fits)), "7 missing"] == lines
    assert sink.wait_written(60)
    sink.write("later\n")
    assert b"later\n" == os.read(pipe.read_end, 1 << 16)


def test_a_line_larger_than_the_room_is_written_if_it_is_alone(tmp_path: Path) -> None:
    with (tmp_path / "log").open("a") as file:
        sink = Sink(file)
        sink.write("x" * 2 * MOST_BYTES)
        assert sink.wait_written(60)
    assert 2 * MOST_BYTES == (tmp_path / "log").stat().st_size


LIMITED = """
import resource, signal, sys
from raqib.control.sink import Sink

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (5, hard))
sink = Sink(open(sys.argv[1], "a"), lambda count: sink.write(f"{count} missing\\n"))
for text in ("one\\n", "two\\n", "three\\n"):
    sink.write(text)
assert sink.wait_written(60)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
sink.write("four\\n")
"""


def test_after_a_full_disk_it_goes_on_in_a_new_line(tmp_path: Path) -> None:
    """And what is logged last is written before the end."""
    subprocess.run([sys.executable, "-c", LIMITED, tmp_path / "log"], check=True, timeout=120)
    assert ["one", "t", "four", "2 missing"] == (tmp_path / "log").read_text().splitlines()


ENDS = """
import sys
from raqib.control.sink import Sink

sink = Sink(sys.stderr)
for number in range(1000):
    sink.write(f"{number:99}\\n")
print("ended")
"""


def test_the_end_waits_for_a_stopped_reader_within_limits(pipe: Pipe) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS], stdout=subprocess.PIPE, stderr=pipe.file, check=True, timeout=120
    )
    assert b"ended\n" == done.stdout


def test_the_end_waits_for_a_slow_reader() -> None:
    with subprocess.Popen([sys.executable, "-c", ENDS], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"ended\n" == process.stdout.readline()
        assert 1000 == len(process.stderr.readlines())
