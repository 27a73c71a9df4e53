"""Runs a shell reaction: as root, in a directory of its own, for a limited time. No guard can hold inside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from raqib.host.opening import open_without_links
from raqib.host.removal import RemovalError, check_contents, remove_contents
from raqib.host.spared import USUAL
from raqib.model.execution import LogLevel
from raqib.reactions.shell.data import reaction_data

_CODE, _EVENT = "reaction.sh", "event.json"

PARENT = "/tmp"  # noqa: S108 -- the contract's
DIRECTORY_PREFIX = "raqib-shell-"

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_AS_USUAL = f'echo {USUAL} 2>/dev/null >/proc/$$/oom_score_adj; exec /bin/sh "$0"'
"""What the daemon is spared, if the host is out of memory, is not for what it starts."""

MAX_LINE = 8192
"""Characters of one line of output; what is longer is logged in parts."""

_READ_BYTES = 1 << 16
_LAST_OUTPUT_S = 1.0
"""How long the last output may take to arrive: a process that left the group may hold the pipe open."""

_GONE_WITHIN_S = 1.0
"""How long a shell that was killed may take to be gone."""
_REAP_INTERVAL_S = 1.0
"""How often one that took longer is looked after."""

Say = Callable[[LogLevel, str], None]


class ShellEnd(NamedTuple):
    """How it went."""

    status: int
    """Exit status, negative for a signal."""
    timed_out: bool
    problem: str
    """What is left of it; empty if nothing is."""


class _Output:
    """One of the two pipes, taken apart into lines."""

    def __init__(self, level: LogLevel, say: Say) -> None:
        self._level = level
        self._say = say
        self._rest = b""
        self.ended = asyncio.Event()
        self.read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.read_end, False)
        asyncio.get_running_loop().add_reader(self.read_end, self._take)

    def close(self) -> None:
        """Say what has no end yet, and take no more."""
        if self.read_end >= 0:
            asyncio.get_running_loop().remove_reader(self.read_end)
            os.close(self.read_end)
            self.read_end = -1
        if self._rest:
            self._line(self._rest)
            self._rest = b""

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            piece = os.read(self.read_end, _READ_BYTES)
            if not piece:
                asyncio.get_running_loop().remove_reader(self.read_end)
                self.ended.set()
                return
            *lines, self._rest = (self._rest + piece).split(b"\n")
            for line in lines:
                self._line(line)
            while len(self._rest) > MAX_LINE:
                self._line(self._rest[:MAX_LINE])
                self._rest = self._rest[MAX_LINE:]

    def _line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        for start in range(0, max(1, len(text)), MAX_LINE):
            self._say(self._level, text[start : start + MAX_LINE])


async def run_shell(
    code: str, event_json: bytes, timeout_s: float, say: Say, on_start: Callable[[int], None] = lambda pid: None
) -> ShellEnd:
    """Run the code to its end, or to the end of its time, and then end whatever is left of its process group.

    `on_start` is told the shell's pid.

    Raises OSError if it cannot be started.
    """
    loop = asyncio.get_running_loop()
    directory = await loop.run_in_executor(None, _Directory, code, event_json)
    try:
        return await _run(directory.path, reaction_data(event_json), timeout_s, say, on_start)
    finally:
        problem = await asyncio.shield(loop.run_in_executor(None, directory.remove))
        if problem:
            say("warn", problem)


class _Directory:
    """A fresh directory of mode 0700, with the code and the event in it."""

    def __init__(self, code: str, event_json: bytes) -> None:
        """Make it. Raises OSError."""
        self.path = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX, dir=PARENT))
        self._descriptor = open_without_links(None, str(self.path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name, content in ((_CODE, code.encode("utf-8", "surrogatepass")), (_EVENT, event_json)):
                path = self.path / name
                path.touch(mode=0o600)
                path.write_bytes(content)
        except BaseException:
            self.remove()
            raise

    def remove(self) -> str:
        """Remove it, through no link and into no mount that the reaction may have made; return what hindered that."""
        try:
            check_contents(self._descriptor)
            remove_contents(self._descriptor)
            self.path.rmdir()
        except (OSError, RemovalError) as error:
            return f"{self.path} is left behind: {error}"
        finally:
            os.close(self._descriptor)
        return ""


async def _run(directory: Path, data: str, timeout_s: float, say: Say, on_start: Callable[[int], None]) -> ShellEnd:
    outputs = (_Output("info", say), _Output("warn", say))
    try:
        try:
            process = _start(directory, data, outputs)
        finally:
            for output in outputs:
                os.close(output.write_end)
        timed_out, problem = False, ""
        try:
            on_start(process.pid)
            timed_out = not await _wait(process.pid, timeout_s)
        finally:
            if not await _end(process):
                problem = f"process {process.pid} was killed and has not ended yet"
                say("warn", problem)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_OUTPUT_S):
                for output in outputs:
                    await output.ended.wait()
        status = -signal.SIGKILL if process.returncode is None else process.returncode
        return ShellEnd(status, timed_out, problem)
    finally:
        for output in outputs:
            output.close()


def _start(directory: Path, data: str, outputs: tuple[_Output, _Output]) -> subprocess.Popen[bytes]:
    """Start the shell, as the leader of a process group. Raises OSError."""
    return subprocess.Popen(
        ["/bin/sh", "-c", _AS_USUAL, str(directory / _CODE)],
        stdin=subprocess.DEVNULL,
        stdout=outputs[0].write_end,
        stderr=outputs[1].write_end,
        cwd=directory,
        env={
            "PATH": PATH,
            "LANG": "C.UTF-8",
            "HOME": str(directory),
            "TMPDIR": str(directory),
            "REACTION_DATA": data,
            "REACTION_DATA_FILE": str(directory / _EVENT),
        },
        start_new_session=True,
        umask=0o077,
    )


async def _end(process: subprocess.Popen[bytes]) -> bool:
    """Kill a process with its group; False if it has not ended within a second: then it is reaped once it has.

    A process may sleep in the kernel, where no signal reaches it, for as long as a disk or a server does not answer.
    """
    # Before it is reaped: until then nobody else can have its number, and its group's.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        await _wait(process.pid, _GONE_WITHIN_S)
    finally:
        gone = _reap(process)
    return gone


def _reap(process: subprocess.Popen[bytes]) -> bool:
    """Reap a process if it has ended, else look again from time to time; never blocks."""
    if process.poll() is not None:
        return True
    asyncio.get_running_loop().call_later(_REAP_INTERVAL_S, _reap, process)
    return False


async def _wait(pid: int, timeout_s: float) -> bool:
    """Wait for the end of a child without reaping it; False if that is not within the time."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    pidfd = os.pidfd_open(pid)
    loop.add_reader(pidfd, gone.set)
    try:
        async with asyncio.timeout(timeout_s):
            await gone.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    return True
