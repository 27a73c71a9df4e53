"""A process that runs although its first thread has ended: procfs calls that one a zombie."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

SCRIPT = """
import ctypes, os, platform, threading
def wait():
    while open(f"/proc/{os.getpid()}/stat").read().rpartition(") ")[2][0] != "Z":
        pass
    os.write(1, b"x")
    os.read(0, 1)
    os._exit(0)
threading.Thread(target=wait).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""


@contextlib.contextmanager
def leaderless_process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"x" == process.stdout.read(1)
        yield process
        process.kill()
