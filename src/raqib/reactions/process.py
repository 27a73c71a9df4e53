"""The daemon's end of one worker process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Protocol

from raqib.host.procfs import has_exited
from raqib.reactions.protocol import Call, FrameReader, Log, ProtocolError, Ready, Setup, ToDaemon, ToWorker, pack

WORKER_ARGUMENTS = ("-I", "-m", "raqib.reactions.worker.main")
"""For the interpreter: isolated from environment and working directory."""

MAX_UNREAD = 32 << 20
"""How much may wait for a worker to read it, in bytes; more is not sent."""

_KEPT_OUTPUT = 2048
_LONGEST_VIOLATION = 500


class Owner(Protocol):
    """Who gives workers something to do, and is told what they do."""

    def worker_ready(self, worker: WorkerProcess) -> None:
        """Hear that it waits for a job."""

    def worker_said(self, worker: WorkerProcess, message: ToDaemon) -> None:
        """Hear a message other than Ready. Raises ProtocolError for one that is not due."""

    def worker_gone(self, worker: WorkerProcess) -> None:
        """Hear that the process has ended and was waited for, whatever it was doing."""


def start_process(connection: socket.socket, directory: int, stderr: int) -> subprocess.Popen[bytes]:
    """Start a worker that inherits nothing but these descriptors.

    Must be called from a thread that lives as long as the daemon: the worker dies with the thread that started it.
    """
    return subprocess.Popen(
        [sys.executable, *WORKER_ARGUMENTS, str(connection.fileno()), str(directory)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=(connection.fileno(), directory),
        env={"LANG": "C.UTF-8"},
        cwd="/",
        start_new_session=True,
    )


def cpu_s(pid: int) -> float:
    """Return how much processor time all threads of a process have used; 0 if there is none."""
    if pid <= 0:
        return 0.0
    try:
        # The clock of a process, as clock_getcpuclockid(3) makes it: much cheaper than procfs.
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


class WorkerProcess(asyncio.Protocol):
    """A worker: started, ready, busy, gone. Everything about it happens in the event loop."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._stderr = -1
        self._output = bytearray()
        self.violation = ""
        """How it broke the protocol; empty if it did not."""
        self.was_ready = False
        self.missing: tuple[str, ...] = ()
        """Parts of the sandbox that this host does not permit; known once it was ready."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid if self._process else 0

    @property
    def output(self) -> str:
        """The end of what it wrote to its standard error."""
        return self._output.decode("utf-8", "replace").strip()

    @property
    def exit_status(self) -> int | None:
        """The exit status, negative for a signal; None while it lives."""
        return self._process.returncode if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process has not ended, even if that was not dealt with yet."""
        return self._pidfd >= 0 and not has_exited(self._pidfd)

    @property
    def cpu_s(self) -> float:
        """How much processor time it has used; 0 once it is gone."""
        return cpu_s(self.pid)

    async def start(self, setup: Setup, directory: int) -> None:
        """Start the process; its owner hears of it when it is ready. Raises OSError."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stderr, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._process = start_process(theirs, directory, write_end)
        except BaseException:
            ours.close()
            os.close(self._stderr)
            raise
        finally:
            theirs.close()
            os.close(write_end)
        self._pidfd = os.pidfd_open(self._process.pid)
        loop.add_reader(self._pidfd, self._exited)
        loop.add_reader(self._stderr, self._take_output)
        await loop.create_unix_connection(lambda: self, sock=ours)
        self.send(setup)

    def send(self, message: ToWorker) -> None:
        """Send a message; what a worker that is gone would have got is dropped."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > MAX_UNREAD:
            self.break_off("does not read the answers that it asks for")
            return
        self._transport.write(pack(message))

    def kill(self) -> None:
        """End the process at once."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"expected a stream, got {transport!r}")
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand on what is complete."""
        if self.violation:
            return
        try:
            messages = self._reader.feed(data)
            more = len(messages) - 1 + self._reader.has_more
            if more > 0 and any(isinstance(message, Call | Log) for message in messages[:more]):
                # A sound worker waits. What others send at once would all be done in one round of the event loop.
                raise ProtocolError("expected one call or line at a time, got more before the answer")
            for message in messages:
                if isinstance(message, Ready):
                    if not self.was_ready:
                        # Later on it may be in the hands of whatever it has run.
                        self.was_ready, self.missing = True, message.missing
                    self._owner.worker_ready(self)
                else:
                    self._owner.worker_said(self, message)
        except ProtocolError as error:
            self.break_off(str(error))

    def break_off(self, violation: str) -> None:
        """Note that the worker broke the protocol, and end it."""
        self.violation = self.violation or violation[:_LONGEST_VIOLATION]
        self.kill()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a process that no longer listens."""
        self.kill()

    def _take_output(self) -> None:
        try:
            piece = os.read(self._stderr, 65536)
        except BlockingIOError:
            return
        if not piece:
            asyncio.get_running_loop().remove_reader(self._stderr)
        self._output = (self._output + piece)[-_KEPT_OUTPUT:]

    def _exited(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._pidfd)
        if self._process is not None:
            self._process.wait()
        self._take_output()
        loop.remove_reader(self._stderr)
        os.close(self._pidfd)
        os.close(self._stderr)
        self._pidfd = self._stderr = -1
        if self._transport is not None:
            self._transport.abort()
        self._owner.worker_gone(self)
