"""Floods, made by a user without privileges in a directory of its own: bounded in time, and taken away again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

NOBODY = 65534
FIRST_SUBORDINATE = 2_000_000
POLITELY = ("nice", "-n", "19")
"""A flood takes all that nobody else wants: tests beside it have processor time, too."""
MOST_S = 120
"""Whatever becomes of the test, a flood ends by itself."""

NEW_NAMES = """
import itertools, os
def new_names(count):
    for number in count:
        name = f"{os.getpid()}-{number}"
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
        os.unlink(name)
"""
"""Makes files of ever new names, and removes them."""

ONE_PROCESS = f"{NEW_NAMES}\nnew_names(range(int(sys.argv[1])))"

SHORT_PROCESSES = f"""{NEW_NAMES}
for number in range(int(sys.argv[1])):
    child = os.fork()
    if not child:
        new_names(range(10))
        os._exit(0)
    os.waitpid(child, 0)
"""
"""Each does a little, and ends."""

SUBORDINATES = 1000

SUBORDINATE_USERS = f"""{NEW_NAMES}
import ctypes
assert 0 == ctypes.CDLL(None).unshare(0x10000000)
print("unshared", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[1])):
    child = os.fork()
    if not child:
        user = 1 + number % {SUBORDINATES}
        os.setresuid(user, user, user)
        new_names(range(10))
        os._exit(0)
    assert 0 == os.waitpid(child, 0)[1]
"""
"""The same by ever other users, who are all subordinate to the one that made the user namespace."""

NEW_SPELLINGS = """
import os
os.mkdir("x")
os.close(os.open("y", os.O_CREAT | os.O_WRONLY))
for number in range(int(sys.argv[1])):
    os.truncate("x/.." + "/." * (number % 1000) + "/y", 0)
"""
"""Names one file in ever other ways."""

MANY_PROCESSES = """
import os, signal
children = []
for number in range(int(sys.argv[1])):
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(os.open(f"{os.getpid()}", os.O_CREAT | os.O_WRONLY))
        os.close(writes)
        signal.pause()
    os.close(writes)
    os.read(reads, 1)
    os.close(reads)
    children.append(child)
print("made", flush=True)
sys.stdin.readline()
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
"""They stay until a line is read."""

FOREVER = 1 << 40


@contextlib.contextmanager
def own_directory(user: int = NOBODY) -> Iterator[Path]:
    """A directory of that user's own, which its subordinates can use as well."""
    directory = Path(tempfile.mkdtemp(prefix="raqib-flood-", dir="/var/tmp"))
    try:
        os.chown(directory, user, user)
        directory.chmod(0o777)
        yield directory
    finally:
        shutil.rmtree(directory)


def start(script: str, directory: Path, count: int, user: int = NOBODY) -> subprocess.Popen[bytes]:
    """Run a script as that user, by the system's own Python: that of an environment may lie where others cannot go."""
    started = subprocess.Popen(
        [
            *POLITELY,
            "/usr/bin/python3",
            "-I",
            "-c",
            f"import signal, sys; signal.alarm({MOST_S})\n{script}",
            str(count),
        ],
        cwd=directory,
        user=user,
        group=user,
        extra_groups=[],
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    if script == SUBORDINATE_USERS:
        assert started.stdin is not None
        assert started.stdout is not None
        assert b"unshared\n" == started.stdout.readline()
        # What newuidmap(1) does for whoever has subordinate users.
        users = f"0 {user} 1\n1 {FIRST_SUBORDINATE} {SUBORDINATES}\n"
        Path(f"/proc/{started.pid}/uid_map").write_text(users)
        started.stdin.write(b"\n")
        started.stdin.flush()
    return started


def run(script: str, directory: Path, count: int, user: int = NOBODY) -> int:
    """Run it to its end; return its process."""
    with start(script, directory, count, user) as started:
        assert 0 == started.wait(MOST_S)
    return started.pid


@contextlib.contextmanager
def flood(script: str, number: int = 1) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Let so many processes flood, as long as the context is open."""
    with own_directory() as directory:
        started = [start(script, directory, FOREVER) for _ in range(number)]
        try:
            yield started
            assert {None} == {started_process.poll() for started_process in started}, "a flood ended before its time"
        finally:
            for process in started:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
