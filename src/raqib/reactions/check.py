"""Checks reactions when recipes are loaded: JavaScript by running its top level, shut in like any reaction."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from raqib.errors import NotPermittedError
from raqib.model.recipe import Reaction
from raqib.reactions.broker import STUBS
from raqib.reactions.identifiers import acting_helpers, async_process, unknown_names
from raqib.reactions.process import start_process
from raqib.reactions.protocol import Check, Ended, FrameReader, ProtocolError, Ready, ToDaemon, ToWorker, pack
from raqib.reactions.settings import ReactionSettings

READY_WITHIN_S = 30.0
TOP_LEVEL_TIMEOUT_S = 2.0
"""How long a reaction's top level may run when it is checked."""


class ReactionProblem(msgspec.Struct, frozen=True):
    """Why a reaction cannot be used."""

    message: str
    line: int = 0
    column: int = 0
    """Both counted from 1 within the reaction's code; 0 is not known."""

    def __str__(self) -> str:
        """Return the message, after line and column if they are known."""
        return f"line {self.line}, column {self.column}: {self.message}" if self.line else self.message


def check_reaction(reaction: Reaction) -> ReactionProblem | None:
    """Return what is wrong with a reaction, or None.

    JavaScript: the top level is run in a sandboxed process with helpers that do nothing, and must leave a function
    `process`. Shell: the syntax is checked by /bin/sh, nothing is run. Blocks for a few hundred milliseconds;
    `check_reactions` shares that among many.

    Raises NotPermittedError if no sandboxed process comes up.
    """
    return check_reactions([reaction])[0]


def check_reactions(reactions: Sequence[Reaction]) -> list[ReactionProblem | None]:
    """Check many reactions, each in an isolate of its own; the results are in the same order.

    Raises NotPermittedError if no sandboxed process comes up.
    """
    known: dict[Reaction, ReactionProblem | None] = {}
    with contextlib.ExitStack() as stack:
        checker: _Checker | None = None
        for reaction in reactions:
            if reaction in known:
                continue
            if reaction.format == "shell":
                known[reaction] = _check_shell(reaction.code)
                continue
            if checker is None or not checker.usable:
                checker = stack.enter_context(_Checker.started())
            known[reaction] = checker.check(reaction.code)
    return [known[reaction] for reaction in reactions]


def doubts_about(reaction: Reaction) -> tuple[ReactionProblem, ...]:
    """Return what looks wrong in a reaction that works so far: names that nothing defines, an async `process`."""
    if reaction.format != "js":
        return ()
    found = [async_process(reaction.code), *unknown_names(reaction.code)]
    return tuple(ReactionProblem(*problem) for problem in found if problem is not None)


def sandbox_missing() -> tuple[str, ...]:
    """Start a worker and return which parts of its sandbox this host does not permit.

    Raises NotPermittedError if none comes up.
    """
    with _Checker.started() as checker:
        return checker.missing


def action_of(reaction: Reaction) -> str | None:
    """Return what a reaction acts by: the first helper that kills or blocks, or the shell; None if it does not."""
    return "a shell reaction" if reaction.format == "shell" else next(iter(acting_helpers(reaction.code)), None)


def _check_shell(code: str) -> ReactionProblem | None:
    result = subprocess.run(
        ["/bin/sh", "-n"],
        input=code.encode("utf-8", "surrogatepass"),
        capture_output=True,
        env={},
        timeout=READY_WITHIN_S,
        check=False,
    )
    if result.returncode == 0:
        return None
    return ReactionProblem(result.stderr.decode("utf-8", "replace").strip() or "the shell does not accept it")


class _Checker:
    """A worker that only checks."""

    def __init__(self, connection: socket.socket, process: subprocess.Popen[bytes], stderr: int) -> None:
        self._connection = connection
        self._process = process
        self._stderr = stderr
        self._reader = FrameReader()
        self._received: list[ToDaemon] = []
        self.usable = True
        self.missing: tuple[str, ...] = ()
        """Parts of the sandbox that this host does not permit."""

    @classmethod
    @contextlib.contextmanager
    def started(cls) -> Iterator[_Checker]:
        """Start a worker and wait until it is ready; it is ended in any case."""
        with tempfile.TemporaryDirectory(prefix="raqib-check-") as directory, contextlib.ExitStack() as stack:
            empty = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, empty)
            Path(directory).chmod(0o555)
            ours, theirs = socket.socketpair()
            stack.enter_context(ours)
            stderr, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            stack.callback(os.close, stderr)
            try:
                process = start_process(theirs, empty, write_end)
            except OSError as error:
                raise NotPermittedError(f"no process to check reactions in can be started: {error}") from error
            finally:
                theirs.close()
                os.close(write_end)
            stack.callback(process.wait)
            stack.callback(process.send_signal, signal.SIGKILL)
            checker = cls(ours, process, stderr)
            ready = checker._exchange(ReactionSettings().setup(STUBS), READY_WITHIN_S)
            if not isinstance(ready, Ready):
                with contextlib.suppress(BlockingIOError):
                    output = os.read(stderr, 65536).decode("utf-8", "replace").strip()
                    raise NotPermittedError(f"no process to check reactions in comes up: {output}")
                raise NotPermittedError("no process to check reactions in comes up in time")
            checker.missing = ready.missing
            yield checker

    def check(self, code: str) -> ReactionProblem | None:
        """Check one reaction; if that was the worker's end, it is not `usable` any more."""
        match self._exchange(Check(code), TOP_LEVEL_TIMEOUT_S):
            case Ended("ok"):
                self.usable = isinstance(self._exchange(None, READY_WITHIN_S), Ready)
                return None
            case Ended("error") as ended:
                self.usable = isinstance(self._exchange(None, READY_WITHIN_S), Ready)
                return ReactionProblem(ended.error, ended.line, ended.column)
            case Ended():
                problem = "the top level takes more memory than there is"
            case None if self._process.poll() is None:
                problem = f"the top level does not end within {TOP_LEVEL_TIMEOUT_S:g} s"
            case _:
                problem = "the engine did not survive the top level"
        self.usable = False
        self._process.kill()
        return ReactionProblem(problem)

    def _exchange(self, message: ToWorker | None, timeout_s: float) -> ToDaemon | None:
        """Send a message, if there is one, and return the next that comes; None if it does not, in time or ever."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        try:
            if message is not None:
                self._connection.sendall(pack(message))
            while not self._received:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not poll.poll(remaining * 1000):
                    return None
                data = self._connection.recv(1 << 16)
                if not data:
                    # The end of the connection comes a moment before that of the process.
                    self._process.wait()
                    return None
                self._received += self._reader.feed(data)
        except (OSError, ProtocolError):
            self._process.kill()
            self._process.wait()
            return None
        return self._received.pop(0)
