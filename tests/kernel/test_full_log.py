"""The event log on a disk that fills up and has room again: whole lines, and no empty one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, subprocess, sys
from pathlib import Path
from raqib.printers.varlog import VarlogPrinter

place = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], check=True)
printer = VarlogPrinter(place / "events.jsonl")
filler, failures = place / "filler", 0
for number in range(40):
    # Room for nothing; for a part of a line; for all that comes.
    space = os.statvfs(place)
    with filler.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize)
    for _ in range(3):
        try:
            printer.print(None, b'{"number": %d, "text": "%s"}' % (number, b"x" * (300 + 400 * (number % 9))))
        except OSError:
            failures += 1
    filler.unlink()
    printer.print(None, b'{"whole": %d}' % number)
    if (place / "events.jsonl").stat().st_size > 40_000:
        break
printer.close()
print(failures)
sys.stdout.flush()
sys.stdout.buffer.write((place / "events.jsonl").read_bytes())
"""


def test_no_line_is_empty_or_runs_into_another(tmp_path: Path) -> None:
    told = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, check=True
    ).stdout
    failures, _, log = told.partition(b"\n")
    assert 10 < int(failures)
    lines = log.split(b"\n")
    assert b"" == lines.pop()
    assert b"" not in lines
    whole = [line for line in lines if line.startswith(b'{"whole": ')]
    assert [b'{"whole": %d}' % number for number in range(len(whole))] == whole
    assert 5 < len(whole)
