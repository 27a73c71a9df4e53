"""Coverage-guided fuzzing of recordings, which are given from hand to hand and replayed.

    make long-fuzz-recording, or, with atheris installed: python -m tests.fuzz.recording -max_total_time=600 CORPUS…

Whatever the bytes are, they are observations or an error that is one plain line, and no other exception.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["raqib.offline.recording"]):
    from raqib.errors import RaqibError
    from raqib.offline.recording import Recorded, entry_line, header_line, read_recording

from raqib.model.actions import FileAction
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from tests.fuzz import sow

FILE = os.memfd_create("recording")
PLACE = Path(f"/proc/self/fd/{FILE}")


def read(data: bytes) -> None:
    """Read bytes as a recording, and as what follows the first line of one; what is read must be written as well."""
    for content in (data, header_line() + data):
        os.ftruncate(FILE, 0)
        os.pwrite(FILE, content, 0)
        try:
            for recorded in read_recording(PLACE):
                entry_line(recorded)
        except RaqibError as error:
            if "\x1b" in str(error) or "\n" in str(error):
                raise AssertionError(f"a message that is not one plain line: {str(error)!r}") from error


def seed() -> bytes:
    """Return a line of a recording."""
    process = Process(key=ProcessKey(7, 10**12), uid=0, comm=b"cat", image=Image(b"/bin/cat", (b"cat", b"\xff"), b""))
    seen = FileObservation(process=process, path=b"/etc/\xff", actions=FileAction(3), new=FileAction(1), timestamp_ns=1)
    return entry_line(Recorded(seen, (process,)))


def main() -> None:
    """Fuzz until told to stop."""
    read(seed())
    sow([seed()])
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
